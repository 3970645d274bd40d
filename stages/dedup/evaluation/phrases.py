"""What the web puts around and into texts, in Chinese (`True`) and English (`False`): phrases of our own."""

from __future__ import annotations

from typing import Final

NAVIGATION: Final = {
    True: "首页 | 新闻中心 | 产品介绍 | 下载 | 论坛 | 关于我们 | 联系方式 | 登录 | 注册\n您现在的位置：首页 > 正文",
    False: "Home | News | Products | Downloads | Forum | About | Contact | Sign in | Register\nYou are here: Home",
}
FOOTER: Final = {
    True: "上一篇：没有了\n下一篇：返回列表\n分享到：微信 微博 空间\n网站地图 | 隐私政策 | 免责声明 | 友情链接",
    False: "Previous article\nNext article\nShare this page by mail or message\nSite map | Privacy | Terms | Imprint",
}
COPYRIGHT: Final = {
    True: "版权所有，未经书面许可不得转载。本站内容仅供参考，如有侵权请联系我们删除。",
    False: "Copyright by the publisher. All rights reserved. No part of this page may be copied without permission.",
}
ADVERTISEMENTS: Final = {
    True: (
        "【广告】春季家装节，全屋定制低至五折，预约量房即送设计方案，名额有限，先到先得！",
        "扫描下方二维码，关注本站公众号，每天为您推送最新文章和独家福利。",
        "想学编程却不知道从哪里开始？零基础训练营今晚八点直播，点击免费领取课程资料。",
        "周末自驾去哪儿？租车首日立减一百元，全国门店异地还车，立即下载客户端查看。",
        "您的手机该换新了：以旧换新最高补贴一千二百元，分期免息，次日送达。",
    ),
    False: (
        "Advertisement: our spring sale ends on Sunday, with half price on all garden furniture and free delivery.",
        "Subscribe to our newsletter and get the best stories of the week in your inbox every Friday morning.",
        "Looking for a new phone? Trade in your old one today and save up to two hundred on the latest models.",
        "Learn to code from home: the first month of every course is free, and you may cancel at any time.",
        "Plan your next weekend trip with us, rent a car from nine a day, and return it at any of our offices.",
    ),
}
PREFIX: Final = {
    True: "转载自网络，作者不详，编辑整理如下：",
    False: "The following article was first published elsewhere and is reprinted here:",
}
SUFFIX: Final = {
    True: "（责任编辑：小周；来源：综合整理；阅读次数：一千三百二十）",
    False: "(Edited by the night desk. Read one thousand three hundred times so far.)",
}
