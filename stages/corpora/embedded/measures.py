"""Entries on currencies (CLDR) and on units of measure (names from CLDR, conversions by definition)."""

from __future__ import annotations

from collections.abc import Iterator

from stages.corpora.embedded.cldr import NAME, World
from stages.corpora.embedded.sentences import Words, count, say, some

CODE = (
    "{money} 的 货币 代码 是 {code} 。",
    "银行 用 {code} 三 个 字母 表示 {money} 。",
    "在 国际 标准 中 ， {code} 代表 {money} 。",
)
SYMBOL = ("{money} 的 符号 写作 {symbol} 。", "商店 的 价签 上 用 {symbol} 表示 {money} 。")
NOW = (
    "{money} 是 {places} 现在 使用 的 货币 。",
    "现在 使用 {money} 的 地方 是 {places} 。",
    "在 {places} 买 东西 ， 要 用 {money} 付款 。",
)
NOW_MANY = (
    "现在 使用 {money} 的 国家 和 地区 有 {n} 个 ， 例如 {places} 。",
    "{money} 在 {places} 等 {n} 个 地方 流通 。",
)
SINCE = ("{place} 从 {year} 开始 使用 {money} 。", "{money} 在 {year} 成为 {place} 的 货币 。")
BEFORE = ("在 {money} 之前 ， {place} 使用 的 是 {old} 。", "{place} 先 用 {old} ， 后来 改用 {money} 。")
ENDED = ("{money} 曾经 在 {place} 流通 ， 到 {year} 停止 使用 。", "{place} 在 {year} 停止 使用 {money} 。")
AFTER = ("后来 {place} 改用 {new} 。", "接替 {money} 的 是 {new} 。", "如今 {place} 通行 的 是 {new} 。")
WHOLE = ("{money} 的 金额 通常 不 写 小数 。", "用 {money} 记账 时 不 保留 小数 。")
DIGITS = ("{money} 的 金额 通常 保留 {n} 位 小数 。", "用 {money} 记账 时 保留 {n} 位 小数 。")
TONGUE = (
    "使用 {money} 的 {place} 以 {tongue} 为 官方 语言 。",
    "{place} 的 官方 语言 是 {tongue} ， 货币 是 {money} 。",
    "在 {place} ， 人们 说 {tongue} ， 用 {money} 付款 。",
)

GROUPS = {
    "acceleration": "加速度",
    "angle": "角度",
    "area": "面积",
    "concentr": "浓度",
    "consumption": "油耗",
    "digital": "信息量",
    "duration": "时间",
    "electric": "电学量",
    "energy": "能量",
    "force": "力",
    "frequency": "频率",
    "graphics": "图像尺寸",
    "length": "长度",
    "light": "光度",
    "mass": "质量",
    "power": "功率",
    "pressure": "压强",
    "speed": "速度",
    "temperature": "温度",
    "torque": "力矩",
    "volume": "体积",
}
EQUALS = {
    "公顷": "10000 平方米",
    "平方公里": "100 公顷",
    "平方英里": "640 英亩",
    "平方码": "9 平方英尺",
    "平方英尺": "144 平方英寸",
    "千字节": "1000 字节",
    "兆字节": "1000 千字节",
    "吉字节": "1000 兆字节",
    "太字节": "1000 吉字节",
    "字节": "8 比特",
    "拍字节": "1000 太字节",
    "兆比特": "1000 千比特",
    "吉比特": "1000 兆比特",
    "太比特": "1000 吉比特",
    "千比特": "1000 比特",
    "小时": "60 分钟",
    "分钟": "60 秒钟",
    "毫秒": "1000 微秒",
    "微秒": "1000 纳秒",
    "千焦": "1000 焦耳",
    "千卡": "1000 卡路里",
    "千瓦时": "3600 千焦",
    "吉赫": "1000 兆赫",
    "兆赫": "1000 千赫",
    "千赫": "1000 赫兹",
    "公里": "1000 米",
    "分米": "10 厘米",
    "厘米": "10 毫米",
    "毫米": "1000 微米",
    "微米": "1000 纳米",
    "纳米": "1000 皮米",
    "英里": "1760 码",
    "英尺": "12 英寸",
    "英寸": "2.54 厘米",
    "英寻": "2 码",
    "弗隆": "220 码",
    "海里": "1852 米",
    "公吨": "1000 千克",
    "千克": "1000 克",
    "毫克": "1000 微克",
    "英石": "14 磅",
    "吉瓦": "1000 兆瓦",
    "兆瓦": "1000 千瓦",
    "千瓦": "1000 瓦特",
    "瓦特": "1000 毫瓦",
    "毫巴": "100 帕斯卡",
    "百帕斯卡": "100 帕斯卡",
    "千帕斯卡": "1000 帕斯卡",
    "兆帕斯卡": "1000 千帕斯卡",
    "弧分": "60 弧秒",
    "标准大气压": "101325 帕斯卡",
    "立方米": "1000 升",
    "立方码": "27 立方英尺",
    "立方英尺": "1728 立方英寸",
    "兆升": "1000 立方米",
    "公石": "100 升",
    "分升": "10 厘升",
    "厘升": "10 毫升",
    "加仑": "4 夸脱",
    "夸脱": "2 品脱",
    "品脱": "16 液盎司",
    "汤匙": "3 茶匙",
    "平方米": "10000 平方厘米",
    "百万像素": "1000000 像素",
}

UNIT = ("{unit} 是 {group} 的 单位 。", "{unit} 用来 表示 {group} 。", "人们 用 {unit} 来 计量 {group} 。")
SHORT = (
    "{unit} 的 符号 是 {short} 。",
    "{unit} 通常 简写 为 {short} 。",
    "在 表格 里 ， {unit} 可以 写成 {short} 。",
)
EQUAL = (
    "一 {unit} 等于 {n} {other} 。",
    "{n} {other} 合 一 {unit} 。",
    "把 {unit} 换算 成 {other} ， 要 乘以 {n} 。",
)
PART = ("{n} {unit} 等于 一 {other} 。", "一 {other} 可以 换算 成 {n} {unit} 。")
PEERS = ("与 {unit} 同类 的 单位 有 {units} 。", "表示 {group} 的 单位 还 有 {units} 。")
CONVERT = ("{unit} 与 {other} 之间 可以 换算 。", "表示 {group} 时 ， {unit} 与 {other} 都 会 用到 。")
ASK = (
    "使用 {unit} 之前 ， 先 要 弄清 它 与 {other} 的 关系 。",
    "比较 两 个 数值 时 ， 不 要 把 {unit} 和 {other} 混 在 一起 。",
)


def currencies(
    world: World,
) -> Iterator[tuple[str, list[tuple[str, str]], list[Words], list[tuple[str, str]]]]:
    """For every currency that some territory uses or used: code, infobox, sentences, related entries."""
    from babel import Locale
    from babel.core import get_global

    symbols, fractions = Locale.parse("zh_Hans").currency_symbols, get_global("currency_fractions")
    for code, money in world.money.items():
        held = [
            (p, t) for p, ts in sorted(world.tenders.items()) if p in world.places for t in ts if t.currency == code
        ]
        if not held:
            continue
        now = [world.places[p] for p, t in held if t.until is None]
        told = [say(code, CODE, money=money, code=code)]
        box = [("货币代码", code)]
        if symbols.get(code, code) != code:
            box.append(("符号", symbols[code]))
            told.append(say(code, SYMBOL, money=money, symbol=symbols[code]))
        if now:
            box.append(("使用地区", "、".join(now[:10])))
            told.append(
                say(
                    code,
                    NOW if len(now) < 4 else NOW_MANY,
                    money=money,
                    n=count(len(now)),
                    places=some(code, now, 3),
                )
            )
        told += _history(world, code, money, held)
        digits = fractions.get(code, fractions["DEFAULT"])[0]
        box.append(("小数位数", str(digits)))
        told.append(say(code, DIGITS if digits else WHOLE, money=money, n=count(digits)))
        yield code, box, told, [("territory", p) for p, _ in held[:6]]


def _history(world: World, code: str, money: str, held) -> list[Words]:
    """When a currency came and went in (at most two of) its territories, and what is spoken there."""
    told = []
    for place, tender in sorted(held, key=lambda row: (row[1].since, row[0]))[:2]:
        name = world.places[place]
        told.append(say(code + place, SINCE, place=name, money=money, year=f"{tender.since}年"))
        older = [t for t in world.tenders[place] if t.until and t.since < tender.since and t.currency != code]
        newer = [t for t in world.tenders[place] if t.until is None and t.currency != code]
        if older:
            told.append(say(code + place, BEFORE, place=name, money=money, old=world.money[older[0].currency]))
        if tender.until is not None:
            told.append(say(code + place, ENDED, place=name, money=money, year=f"{tender.until}年"))
            if newer:
                told.append(say(code + place, AFTER, place=name, money=money, new=world.money[newer[0].currency]))
        elif world.official.get(place):
            tongue = world.tongues[world.official[place][0]]
            told.append(say(code + place, TONGUE, place=name, money=money, tongue=tongue))
    return told


def units() -> Iterator[tuple[str, str, list[tuple[str, str]], list[Words], list[tuple[str, str]]]]:
    """For every unit whose name is one Chinese word: code, name, infobox, sentences, related entries."""
    from babel import Locale

    # Babel has no public list of units; the locale's own table is the only one.
    data = Locale.parse("zh_Hans")._data
    rows: dict[str, tuple[str, str, str]] = {}
    for code in sorted(data["unit_display_names"]):
        shown, pattern = data["unit_display_names"][code], data["unit_patterns"].get(code, {})
        name = shown.get("long") or shown.get("short") or ""
        short = (pattern.get("narrow") or {}).get("other") or (pattern.get("short") or {}).get("other") or ""
        if NAME.fullmatch(name) and not name.startswith("个") and name not in [row[1] for row in rows.values()]:
            rows[code] = (GROUPS[code.split("-")[0]], name, short.replace("{0}", "").replace(" ", ""))
    for code, (group, name, short) in rows.items():
        peers = [(c, row[1]) for c, row in rows.items() if row[0] == group and c != code]
        if not peers:
            continue
        box, told = [("类别", group)], [say(code, UNIT, unit=name, group=group)]
        if short and short != name:
            box.append(("符号", short))
            told.append(say(code, SHORT, unit=name, short=short))
        if name in EQUALS:
            n, other = EQUALS[name].split()
            box.append(("换算", f"1{name} = {n}{other}"))
            told.append(say(code, EQUAL, unit=name, n=n, other=other))
        for whole, (n, part) in ((whole, value.split()) for whole, value in EQUALS.items()):
            if part == name:
                told.append(say(code + whole, PART, unit=name, n=n, other=whole))
        names = [peer for _, peer in peers]
        told.append(say(code, PEERS, unit=name, group=group, units=some(code, names, 4)))
        for other in some(code + "/", names, 3 if len(told) < 4 else 1):
            told.append(say(code + other, CONVERT if len(told) % 2 else ASK, unit=name, group=group, other=other))
        yield code, name, box, told, [("unit", c) for c, _ in peers[:5]]
