"""Texts written for these tests: clean ones, in which each rule finds something that it must leave alone."""

from __future__ import annotations

import pyarrow as pa

from datapipe.testing import Result, dataset, evaluate
from stages.repair import Repair

TEA = """老城南边有一条不长的街，街口那家茶馆开了四十多年。
掌柜姓周，今年七十三岁，每天清晨五点起床，先把炉子生好，再去井边挑水。
他说井水泡茶和自来水不一样，茶汤清，放到下午也不发暗。来喝茶的多是附近的老人，一坐就是半天，聊的无非是儿女、天气和菜价。
前年街道要改造，有人劝他把店面租出去，租金比卖茶挣得多。
他想了几天，没有答应。他说茶馆关了，这些老人早上就没有地方可去了。
去年冬天下了一场大雪，街上几乎没有行人，他照样开门，炉子上的水烧得咕嘟作响，窗户上全是雾气。
那天只来了三个人，他们一直坐到天黑。
如今他的孙女从外地回来，学着管账，也学着看火候。
她在门口摆了两张新桌子，又在墙上挂了几幅老照片，都是这条街从前的样子。"""
BRIDGE = """石桥修于清代中叶，原名通济桥，长约三十米，由青石砌成。桥面上留着深浅不一的车辙，说明当年往来的货车很多。
据地方志记载，乾隆四十二年夏天发过一次大水，桥的东侧塌了一角，第二年由乡绅集资修复。
修桥的账目刻在一块碑上，现存于县文化馆。
近年来研究者注意到，碑文中的银两数目和县志并不一致。一种解释是碑文只记了本县的捐款，而邻县的商号另有账册。
桥下的河道在上世纪七十年代裁弯取直，水流改走北面，石桥因此成了旱桥，反而保存了下来。每到春天，两岸的油菜花开得正盛。"""
RIVER = """The river begins as a spring under an old lime tree, and for the first mile it is narrow enough to
step across.
Farmers along the upper valley used to divert it into meadows every March, which warmed the soil and brought
the grass on early.
Nobody has flooded a meadow here since the sixties, but the ditches are still there, and after heavy rain they
fill as they were meant to.
Below the mill the water slows and turns brown. Herons stand in the shallows, and in August the banks smell of mint.
The old people say that the river has grown shorter. What they mean is that it used to take a day to walk to
its mouth, and now it takes an hour."""
LETTERS = """My grandmother kept every letter she received, in shoe boxes under the stairs, sorted by year
rather than by sender.
When she died we read them aloud in the kitchen, a box an evening, until the neighbours came to listen too.
Most were about weather, prices and illness; a few were about love, and those she had tied with ribbon.
In one of them a man whose name we never found out asked her to share this house with him and subscribe to his
dull newspaper.
She had written her answer in pencil on the back: all my rights are reserved."""
HANT = """巷口的麵店開了三十年，老闆娘每天早上四點起來揉麵。她只有一個女兒，在國外念書，一年回來一次。
隔壁的鐘錶行也是老店，師傅修過的錶不知道有多少。他說現在的人很少修錶了，壞了就換新的，家裡放著幾隻舊錶捨不得丟。
后里的車站離這裡不遠，假日有人騎車過來吃麵，標誌是門口那棵老榕樹。大家都說，要瞭解這個小鎮，先去那裡坐一個下午。"""

CLEAN = {
    "tea": TEA,
    "bridge": BRIDGE,
    "river": RIVER,
    "letters": LETTERS,
    "traditional": HANT,
    "about the press": (
        "在报社的流程里，责任编辑先看稿，再交给值班主任。来源：这一栏必须写清楚，否则不能上版。\n"
        "相关推荐的算法由另一个部门维护，编辑不能直接修改。版权声明放在页脚，由法务起草，每年更新一次。\n" + TEA
    ),
    "a few pinyin": "他姓仇(qiú)，名叫单(shàn)于，老师总是念错。\n" + BRIDGE,
    "quotes Traditional": BRIDGE
    + "\n碑上刻著「乾隆四十二年歲次丁酉，里人公議重修，捐銀者姓名開列於後」，落款已經看不清了。",
    "generics": "A list of pairs is written List<Pair<A, B>>, and a < b && b > c is true. Use <your name> here.\n"
    + RIVER,
    "documentation of HTML": (
        "To make a paragraph, write <p>text</p>; a line break is <br>, and an ampersand is &amp;.\n"
        'The element <a href="page.html">page</a> is a link. A style rule looks like this:\n'
        "p { margin: 0; color: red; }\nvar x = document.getElementById('a');\n" + RIVER
    ),
    "listing of HTML": "The badge is put in like this:\n<p>\n   <b>Badge</b>\n   </p>\nand then it shows.\n" + RIVER,
    "Japanese": (
        "東京の学会では、国語の辞書を編む議論が続いている。会員は図書館で旧い経典を読み、発見を記録する。\n"
        "総会の会場は駅の東側にある旧校舎で、図面と写真が壁に掛けてある。議事録は会員が順番に書く。\n"
        "経済の話題が出ると、長老は昔の農村の様子を語り、学生は静かに聞く。読書会は夜遅くまで続いた。"
    ),
    "Markdown": "# Notes\n\nSee [the page](https://example.org/a) for <b>more</b>, and use `&nbsp;` between words.\n\n"
    + LETTERS,
    "comments that say something": (
        "<!--\nThe river begins as a spring.\n-->\n河从一眼泉水开始。\n<!--more-->\n"
        "<!-- Below the mill it slows. -->\n过了磨坊，水就慢了。\n" + TEA
    ),
    "a tag on two lines": 'Put this on your page:\n<a href="http://menu.example/"\ntarget="_blank">Menu</a>\n' + RIVER,
    "question about a program": (
        f"{RIVER}\nQ: How do I test a function in a script?\nvar shown = $('.menu').is(':visible');\n"
        "A: Call the function with an array.\n(function(){ window.run([1, 2]); })();\n"
    ),
    "program twice": "\n".join(
        2 * ["What is wrong here?", *(f"step{number}(first, second{number});" for number in range(12)), "}"]
    ),
    "newsletter in a sentence": (
        f"{RIVER}\nTo learn how the ditches are filled, when the water comes, and why,\n"
        "subscribe to our email newsletter to hear about new books."
    ),
    "array in prose": "Set a[i] to b[0], then a[/] is an error, and [1999/12/31] is a date in brackets.\n" + RIVER,
    "licence": (
        "Permission is hereby granted to use this software under the terms of this licence.\n"
        "The software is provided as is, without warranty of any kind.\n"
        "Copyright (c) 1999 The Example Authors. All rights reserved."
    ),
    "song": "\n".join(
        [
            "Row the boat slowly down to the sea",
            "The lamps are lit and waiting for me",
            "",
            *3 * ["Home, we are going home"],
            "",
        ]
        * 2
    ).strip(),
    "poem": "春江潮水连海平，海上明月共潮生。\n滟滟随波千万里，何处春江无月明。\n江流宛转绕芳甸，月照花林皆似霰。",
    "a number to call": "这家诊所的咨询电话贴在门上，号码是 0571-00000000，医生姓林，看病要提前三天约。\n" + TEA,
    "addiction": "他因为赌博输掉了房子，投注的钱都是借来的。后来他戒了，去棋牌室只是看别人下棋。\n" + TEA,
    "headline with names": "城南旧事：一条街和它的茶馆 _ 随笔\n" + TEA,
    "timetable": "站名 到达 开出\n城南 08:12 08:15\n河口 08:40 08:42\n来源 未注明\n石桥 09:05 09:10",
    "a short note": "明天下午三点开会，请带上本子。",
    "interview": "问：您为什么一直开着这家店？\n答：习惯了。\n问：以后呢？\n答：以后再说。\n" + BRIDGE,
    "ends in a title": TEA + "\n街口的茶馆",
    "paragraphs": TEA.replace("\n", "\n\n"),
    "one sentence twice": RIVER + "\n" + RIVER.split("\n", maxsplit=1)[0] + "\n" + LETTERS,
    "empty": "",
    "a space": " ",
    "emoji": "今天吃了面条🍜，味道不错👍🏽。明天再去。",
}


def repaired(*texts: str, documents: dict[str, list[object]] | None = None, **fields: object) -> Result:
    """Returns what the step makes of documents with these texts; their ids count from 1."""
    columns: dict[str, object] = {
        "id": pa.array([(number + 1).to_bytes(16) for number in range(len(texts))], pa.binary(16)),
        "text": pa.array(texts, pa.string()),
        **(documents or {}),
    }
    return evaluate(Repair(**fields).build(dataset(pa.table(columns))))  # type: ignore[arg-type]


def changes(result: Result) -> list[tuple[str, str]]:
    """Returns (action, rule) of each row of the ledger."""
    return list(zip(result.ledger["action"].to_pylist(), result.ledger["rule"].to_pylist(), strict=True))
