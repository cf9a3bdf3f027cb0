"""Entries on languages and scripts: where they are spoken, how they are written, from CLDR."""

from __future__ import annotations

from collections.abc import Iterator

from stages.corpora.embedded.cldr import World
from stages.corpora.embedded.sentences import Words, count, percent, say, some

RAREST = 0.1  # percent of some territory's people that must speak a language for it to have an entry

CODE = (
    "{tongue} 的 语言 代码 是 {code} 。",
    "在 语言 代码 表 里 ， {tongue} 用 {code} 表示 。",
    "国际 标准 给 {tongue} 规定 的 代码 是 {code} 。",
)
OWN = ("{tongue} 的 自称 写作 {own} 。", "说 {tongue} 的 人 把 自己 的 语言 写成 {own} 。")
WRITTEN = (
    "{tongue} 通常 用 {script} 书写 。",
    "书写 {tongue} 使用 的 文字 是 {script} 。",
    "{tongue} 的 文字 是 {script} 。",
)
WRITTEN_TOO = ("同样 使用 {script} 的 语言 还 有 {tongues} 。", "{tongues} 也 用 {script} 书写 。")
OFFICIAL = ("{tongue} 是 {places} 的 官方 语言 。", "在 {places} ， {tongue} 具有 官方 语言 的 地位 。")
OFFICIALS = (
    "以 {tongue} 为 官方 语言 的 国家 和 地区 有 {n} 个 ， 例如 {places} 。",
    "{tongue} 在 {n} 个 国家 和 地区 是 官方 语言 ， 其中 有 {places} 。",
)
HEARD = (
    "{tongue} 的 使用者 主要 生活 在 {place} 。",
    "{place} 是 说 {tongue} 的 人 比较 集中 的 地方 。",
    "在 {place} 可以 听到 {tongue} 。",
)
SHARE = (
    "{place} 大约 有 {share} 的 居民 使用 {tongue} 。",
    "在 {place} ， {tongue} 的 使用者 约 占 人口 的 {share} 。",
)
BESIDE = (
    "在 {place} ， 与 {tongue} 一同 使用 的 还 有 {tongues} 。",
    "{place} 的 居民 除了 {tongue} ， 还 使用 {tongues} 。",
)
SAME = (
    "在 软件 翻译 的 规则 里 ， {tongue} 不 区分 单数 和 复数 。",
    "翻译 软件 的 时候 ， {tongue} 的 数量 规则 只 有 一 类 。",
)
PLURAL = (
    "在 软件 翻译 的 规则 里 ， {tongue} 按照 数量 分 {n} 类 。",
    "翻译 软件 的 时候 ， {tongue} 要 准备 {n} 种 数量 形式 。",
)
LEFT = ("{tongue} 从 右 向 左 书写 。", "阅读 {tongue} 要 从 右 边 开始 。")
MONEY = ("说 {tongue} 的 {place} 使用 {money} 。", "在 通行 {tongue} 的 {place} ， 人们 用 {money} 付款 。")

SCRIPT = (
    "{script} 的 代码 是 {code} 。",
    "国际 标准 用 {code} 四 个 字母 表示 {script} 。",
    "在 文字 代码 表 里 ， {script} 写作 {code} 。",
)
WRITES = ("用 {script} 书写 的 语言 有 {tongues} 。", "{tongues} 使用 {script} 书写 。")
WRITES_MANY = (
    "用 {script} 书写 的 语言 至少 有 {n} 种 ， 例如 {tongues} 。",
    "{script} 的 用途 很 广 ， {tongues} 等 {n} 种 语言 都 用 它 书写 。",
)
LEARN = (
    "学习 {tongue} 要 从 认识 {script} 开始 。",
    "认识 了 {script} ， 才 能 读 懂 {tongue} 的 文章 。",
    "{tongue} 的 文献 多 用 {script} 写成 。",
)
SEEN = (
    "在 {place} 可以 看到 用 {script} 书写 的 {tongue} 。",
    "{place} 有人 使用 {tongue} ， 所以 那里 能 见到 {script} 。",
)
DIRECTION = {
    True: ("{script} 从 右 向 左 书写 。", "{script} 的 书写 方向 是 从 右 到 左 。"),
    False: ("{script} 从 左 向 右 书写 。", "{script} 的 书写 方向 是 从 左 到 右 。"),
}


def languages(
    world: World,
) -> Iterator[tuple[str, list[tuple[str, str]], list[Words], list[tuple[str, str]]]]:
    """For every language with speakers in CLDR: code, infobox, sentences, related entries."""
    for code, tongue in world.tongues.items():
        homes = sorted(
            ((p, share) for p, rows in world.spoken.items() for c, share in rows if c == code),
            key=lambda row: (-row[1], row[0]),
        )
        if not homes or homes[0][1] < RAREST:
            continue
        rule = [p for p, codes in sorted(world.official.items()) if code in codes]
        box, told = [("代码", code)], [say(code, CODE, tongue=tongue, code=code)]
        if code in world.own_names:
            box.append(("自称", world.own_names[code]))
            told.append(say(code, OWN, tongue=tongue, own=world.own_names[code]))
        if code in world.written:
            script = world.scripts[world.written[code]]
            box.append(("文字", script))
            told.append(say(code, WRITTEN, tongue=tongue, script=script))
            peers = [world.tongues[c] for c, s in world.written.items() if s == world.written[code] and c != code]
            if peers:
                told.append(say(code, WRITTEN_TOO, script=script, tongues=some(code, peers, 3)))
        if rule:
            names = [world.places[p] for p in rule]
            box.append(("官方地位", "、".join(names[:8])))
            group = OFFICIAL if len(rule) < 4 else OFFICIALS
            told.append(say(code, group, tongue=tongue, n=count(len(rule)), places=some(code, names, 3)))
        told += _life(world, code, tongue, homes)
        box.append(("分布", "、".join(world.places[p] for p, _ in homes[:8])))
        if code in world.plurals:
            box.append(("数量形式", str(world.plurals[code])))
            box.append(("书写方向", "从右向左" if code in world.leftward else "从左向右"))
        links = [("territory", p) for p, _ in homes[:5]]
        yield code, box, told, links + [("script", s) for c, s in world.written.items() if c == code]


def _life(world: World, code: str, tongue: str, homes: list[tuple[str, float]]) -> list[Words]:
    """Sentences on the places where a language lives."""
    place, share = homes[0]
    name = world.places[place]
    told = [say(code, SHARE, tongue=tongue, place=name, share=percent(share))]
    if code in world.homes:
        told.insert(0, say(code, HEARD, tongue=tongue, place=world.places[world.homes[code]]))
    beside = [world.tongues[c] for c, _ in world.spoken[place] if c != code]
    if beside:
        told.append(say(code, BESIDE, tongue=tongue, place=name, tongues=some(code, beside, 2)))
    now = [t for t in world.tenders.get(place, ()) if t.until is None]
    if now:
        told.append(say(code, MONEY, tongue=tongue, place=name, money=world.money[now[0].currency]))
    if code in world.plurals:
        n = world.plurals[code]
        told.append(say(code, PLURAL if n > 1 else SAME, tongue=tongue, n=count(n)))
    if code in world.leftward:
        told.append(say(code, LEFT, tongue=tongue))
    return told


def scripts(world: World) -> Iterator[tuple[str, list[tuple[str, str]], list[Words], list[tuple[str, str]]]]:
    """For every script that writes at least one named language: code, infobox, sentences, related entries."""
    for code, script in world.scripts.items():
        users = [c for c, s in world.written.items() if s == code]
        if not users:
            continue
        names, left = [world.tongues[c] for c in users], code in world.leftward
        told = [
            say(code, SCRIPT, script=script, code=code),
            say(
                code,
                WRITES if len(users) < 5 else WRITES_MANY,
                script=script,
                n=count(len(users)),
                tongues=some(code, names, 4),
            ),
        ]
        for tongue in some(code, names, 2):
            told.append(say(code + tongue, LEARN, script=script, tongue=tongue))
        homes = [(p, c) for p, rows in sorted(world.spoken.items()) for c, _ in rows if c in users]
        for i in range(0, len(homes), max(1, len(homes) // 2)):
            place, tongue = world.places[homes[i][0]], world.tongues[homes[i][1]]
            told.append(say(code + place, SEEN, script=script, place=place, tongue=tongue))
        box = [("代码", code), ("书写的语言", "、".join(names[:8])), ("语言数目", str(len(users)))]
        if any(c in world.plurals for c in users):  # only then does Babel know the direction
            box.append(("书写方向", "从右向左" if left else "从左向右"))
            told.append(say(code, DIRECTION[left], script=script))
        yield code, box, told, [("language", c) for c in users[:6]]
