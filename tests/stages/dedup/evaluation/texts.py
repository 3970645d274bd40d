"""Two texts of our own, long enough that an edit of one percent changes something."""

CHINESE = (
    "清晨六点，菜市场已经热闹起来。卖豆腐的老陈掀开木桶上的湿布，一股热气扑面而来。他说，做豆腐最要紧的是"
    "水，水不好，豆子再好也白费。\n"
    "隔壁的鱼摊刚刚卸下两筐鲫鱼，水花溅到了过道上，小孩子绕着水坑跑来跑去，被母亲一把拉住。\n"
    "这座城市的菜市场大多建在旧厂房里，屋顶很高，冬天冷，夏天却很通风。去年改造的时候，有人提议统一招牌，"
    "摊主们不愿意，说招牌一样就找不到人了。\n"
    "后来大家商量出一个办法：招牌的尺寸统一，字由各家自己写。于是有人请书法老师写了楷书，有人干脆让上小学"
    "的女儿用蜡笔画了一条鱼。\n"
    "下午三点以后，市场慢慢安静下来。老陈把剩下的豆渣装进袋子，等郊区养猪的亲戚来取。他算了算，今天卖出一"
    "百二十斤豆腐，比昨天多了十五斤。\n"
)
ENGLISH = (
    "The harbour office opens at seven, but the pilots are on the water long before that. On a clear morning "
    "you can see their lamps from the hill, moving slowly between the grey shapes of the ships that came in "
    "during the night. Anna has worked here for eleven years.\n"
    "She keeps a paper log beside the computer, because the computer was once silent for two days, and nobody "
    "could say which berth was free. Her log says the ship, the hour, the wind and the name of the pilot. In "
    "spring the river carries so much sand that the channel moves by several metres in a week.\n"
    "The buoys are lifted and set down again, and every captain receives a new chart. Some of them still ask "
    "for it on paper. What visitors notice first is the smell of coffee from the warehouse at the end of the "
    "pier, where three women roast beans for the cafés of the town.\n"
    "They began with a drum made from an old washing machine, and they have kept it in the window.\n"
)
