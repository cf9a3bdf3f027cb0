"""Short questions of two factors, what is asked about and how it is asked, each of which is known of every question.

    question = pattern with the topic in its gap        土豆 x 怎么{}才好吃

Any topic goes with any pattern. A part of the combinations is held out, so that what is told of the test part is not
remembered. train.parquet and test.parquet: text, topic, pattern; in metadata.json the lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core import files, tables
from stages.core.errors import Refusal
from stages.core.systems import Findings

WORDS = """
土豆 西红柿 黄瓜 茄子 豆角 白菜 菠菜 韭菜 芹菜 萝卜 胡萝卜 南瓜 冬瓜 苦瓜 丝瓜 莲藕 竹笋 蘑菇 木耳 豆腐 青椒
洋葱 生姜 大蒜 苹果 香蕉 橘子 葡萄 西瓜 草莓 樱桃 石榴 柚子 柠檬 菠萝 芒果 荔枝 龙眼 山楂 红枣 核桃 花生 板栗
杏仁 牛肉 羊肉 鸡肉 鸭肉 猪蹄 排骨 鲫鱼 带鱼 虾仁 螃蟹 海带 紫菜 鸡蛋 牛奶 酸奶 蜂蜜 绿茶 咖啡 豆浆 面包 饺子
馒头 汤圆 粽子 月饼 年糕 燕麦 糙米
|
{}甜吗 {}好吃吗 {}怎么挑选 {}怎么保存 {}多少钱一斤 {}有什么好处 {}和什么相克 在家里怎么做{}才又香又嫩
孕妇能吃{}吗 小孩可以吃{}吗 {}放在冰箱里最多能存多少天 为什么今年的{}卖得这么贵 全国哪一个地方的{}最有名
{}的热量高不高 减肥能不能吃{} 感冒发烧的时候可以吃{}吗 {}用英语怎么说 {}适合什么季节吃 晚上吃{}会胖吗
空腹吃{}好不好 老人常吃{}好吗 {}要洗几遍 {}可以冷冻吗 买{}要注意什么 新鲜的{}是什么样 {}的营养有哪些
吃{}过敏怎么办 一天吃多少{}合适 {}什么时候上市 {}能当早饭吗 {}做汤放什么 {}一次买多少 谁不能吃{} 我想学做{}
请教{}的做法 {}变色了是坏了吗 {}切开怎么放 附近有卖{}的吗 送人{}合适吗 {}是哪里的特产 超市的{}新鲜吗
进口的{}好在哪里 {}要不要去皮 {}生吃可以吗 糖尿病人吃{}行吗 喝酒后吃{}好吗 {}蒸多久能熟 {}煮几分钟
微波炉能热{}吗 冰箱里的{}有味道 今年{}涨价了没有 {}配米饭好吃吗 {}的产地在哪 冬天吃{}暖和吗 夏天{}容易坏吗
{}属于什么类 {}里有糖吗 {}是凉性的吗 {}有几个品种 网上买{}可靠吗 妈妈爱吃{} 你喜欢{}吗 中午就吃{}吧 家里没有{}了
{}真的很香 古人也吃{}吗 画一个{}怎么画 {}的名字怎么来的 关于{}的谜语 种{}难不难
"""
TOPICS, PATTERNS = (part.split() for part in WORDS.split("|"))


@dataclass(frozen=True)
class Factors:
    """Params of the questions."""

    topics: int  # first ones of the lists that are taken
    patterns: int
    test_share: float  # of combinations
    seed: int


def factors(source: Path | None, params: Factors, out: Path) -> Findings:
    """Write all combinations, shuffled by `seed`, to `out`; `source` is not used. Raises `Refusal` out of range."""
    import pyarrow as pa

    topics, patterns = TOPICS[: params.topics], PATTERNS[: params.patterns]
    if not (2 <= params.topics <= len(TOPICS) and 2 <= params.patterns <= len(PATTERNS)):
        raise Refusal(f"params.yaml: there are 2 to {len(TOPICS)} topics and 2 to {len(PATTERNS)} patterns")
    whole = [(pattern.replace("{}", topic), topic, pattern) for topic in topics for pattern in patterns]
    test = round(params.test_share * len(whole))
    if not 0 < test < len(whole):
        raise Refusal(f"params.yaml: test_share {params.test_share} of {len(whole)} questions leaves a part empty")
    order = np.random.default_rng(params.seed).permutation(len(whole))
    columns = tables.schema(
        text=(pa.string(), "the question"), topic=(pa.string(), "asked about"), pattern=(pa.string(), "how, {} its gap")
    )
    out.mkdir(parents=True)
    for name, part in (("train", order[test:]), ("test", order[:test])):
        rows = [dict(zip(columns.names, whole[i], strict=True)) for i in part]
        tables.write(pa.Table.from_pylist(rows, schema=columns), out / f"{name}.parquet")
    files.write_json({"topics": topics, "patterns": patterns}, out / "metadata.json")
    return Findings(metrics={"train": float(len(whole) - test), "test": float(test)})
