"""Entries on territories: official and spoken languages, money, time and week, from CLDR."""

from __future__ import annotations

from collections.abc import Iterator

from stages.corpora.embedded.cldr import World
from stages.corpora.embedded.sentences import DAYS, Words, count, percent, say, some

CODE = (
    "{place} 在 国际 标准 中 的 代码 是 {code} 。",
    "国际 标准 用 {code} 两 个 字母 表示 {place} 。",
    "{place} 的 两 字母 代码 写作 {code} 。",
    "查阅 国家 和 地区 的 代码 表 ， 与 {place} 对应 的 是 {code} 。",
)
OFFICIAL = (
    "{place} 的 官方 语言 是 {tongue} 。",
    "在 {place} ， {tongue} 是 官方 语言 。",
    "{place} 以 {tongue} 为 官方 语言 。",
)
OFFICIALS = (
    "{place} 有 {n} 种 官方 语言 ， 包括 {tongues} 。",
    "{tongues} 都 是 {place} 的 官方 语言 。",
    "{place} 的 官方 语言 不止 一 种 ， 其中 有 {tongues} 。",
)
SHARE = (
    "{place} 大约 有 {share} 的 居民 使用 {tongue} 。",
    "会 说 {tongue} 的 人 约 占 {place} 人口 的 {share} 。",
    "在 {place} ， 说 {tongue} 的 居民 大约 占 {share} 。",
)
OTHERS = (
    "除了 {tongue} ， 当地 还 能 听到 {tongues} 。",
    "居民 当中 也 有 人 说 {tongues} 。",
    "当地 使用 的 其他 语言 有 {tongues} 。",
    "走 在 {place} 的 街头 ， 还 会 听到 有人 讲 {tongues} 。",
)
MONEY = (
    "{place} 现在 使用 的 货币 是 {money} 。",
    "{money} 是 {place} 的 法定 货币 。",
    "到 {place} 旅行 ， 付款 要 用 {money} 。",
    "{place} 通行 的 货币 叫做 {money} 。",
)
SINCE = (
    "{money} 从 {year} 起 在 {place} 流通 。",
    "{place} 在 {year} 开始 使用 {money} 。",
    "从 {year} 开始 ， {money} 成为 {place} 的 货币 。",
)
FORMER = (
    "{place} 过去 使用 的 {old} 在 {year} 停止 流通 。",
    "更 早 的 时候 ， {place} 使用 {old} ， 到 {year} 为止 。",
    "{old} 曾经 是 {place} 的 货币 ， 在 {year} 退出 流通 。",
)
SHARED = (
    "同样 使用 {money} 的 还 有 {places} 。",
    "{money} 也 在 {places} 通行 。",
    "与 {place} 一样 ， {places} 也 使用 {money} 。",
)
KIN = (
    "与 {place} 一样 ， {places} 也 把 {tongue} 作为 官方 语言 。",
    "{tongue} 同时 也 是 {places} 的 官方 语言 。",
)
CITY = (
    "{place} 的 时区 用 {city} 这 座 城市 来 命名 。",
    "钟表 上 选择 {city} ， 显示 的 就 是 {place} 的 时间 。",
    "{place} 的 时间 以 {city} 为 准 。",
)
CITIES = (
    "{place} 的 时区 不止 一 个 ， 代表 城市 有 {cities} 。",
    "在 {place} ， {cities} 各 有 自己 的 时区 。",
)
WEEK = (
    "按照 {place} 的 习惯 ， 一 周 从 {day} 算 起 。",
    "{place} 的 日历 把 {day} 排 在 一 周 的 开头 。",
    "当地 的 日历 上 ， 每 周 的 第一 天 是 {day} 。",
)
WEEKEND = ("{place} 的 周末 是 {days} 。", "人们 在 {days} 休息 。")


def territories(
    world: World,
) -> Iterator[tuple[str, list[tuple[str, str]], list[Words], list[tuple[str, str]]]]:
    """For every territory: code, infobox, sentences (words), related entries as (kind, code)."""
    for code, place in world.places.items():
        facts = _Facts(world, code)
        yield code, list(facts.box()), list(facts.tell(place)), facts.related()


class _Facts:
    """What is known of one territory, looked up once for box and sentences."""

    def __init__(self, world: World, code: str) -> None:
        self.world, self.code = world, code
        self.official = [world.tongues[c] for c in world.official.get(code, ())]
        self.spoken = [(world.tongues[c], share) for c, share in world.spoken.get(code, ())]
        tenders = world.tenders.get(code, ())
        self.now = [t for t in tenders if t.until is None]
        self.old = [t for t in tenders if t.until is not None]
        self.cities = world.cities.get(code, ())

    def box(self) -> Iterator[tuple[str, str]]:
        money = self.world.money
        yield "代码", self.code
        if self.official:
            yield "官方语言", "、".join(self.official)
        if self.now:
            yield "货币", "、".join(money[t.currency] for t in self.now)
            yield "货币代码", "、".join(t.currency for t in self.now)
        if self.old:
            yield "曾用货币", "、".join(dict.fromkeys(money[t.currency] for t in self.old))
        if self.cities:
            yield "时区城市", "、".join(self.cities[:6])
        if self.code in self.world.weeks:
            yield "每周第一天", DAYS[self.world.weeks[self.code][0]]

    def tell(self, place: str) -> Iterator[Words]:
        world, key = self.world, self.code
        yield say(key, CODE, place=place, code=key)
        if len(self.official) == 1:
            yield say(key, OFFICIAL, place=place, tongue=self.official[0])
        elif self.official:
            yield say(key, OFFICIALS, place=place, n=count(len(self.official)), tongues=tuple(self.official[:4]))
        if self.spoken:
            tongue, share = self.spoken[0]
            yield say(key, SHARE, place=place, tongue=tongue, share=percent(share))
            others = [t for t, _ in self.spoken[1:] if t not in self.official]
            if others:
                yield say(key, OTHERS, place=place, tongue=tongue, tongues=some(key, others, 3))
        if self.now:
            money = world.money[self.now[0].currency]
            yield say(key, MONEY, place=place, money=money)
            yield say(key, SINCE, place=place, money=money, year=f"{self.now[0].since}年")
            peers = [
                world.places[p]
                for p, ts in sorted(world.tenders.items())
                if p in world.places
                and p != key
                and any(t.currency == self.now[0].currency and t.until is None for t in ts)
            ]
            if peers:
                yield say(key, SHARED, place=place, money=money, places=some(key, peers, 3))
        if self.old:
            yield say(key, FORMER, place=place, old=world.money[self.old[0].currency], year=f"{self.old[0].until}年")
        yield from self._tell_time(place)

    def _tell_time(self, place: str) -> Iterator[Words]:
        world, key = self.world, self.code
        if len(self.cities) == 1:
            yield say(key, CITY, place=place, city=self.cities[0])
        elif self.cities:
            yield say(key, CITIES, place=place, cities=some(key, list(self.cities), 3))
        if key in world.weeks:
            first, start, end = world.weeks[key]
            yield say(key, WEEK, place=place, day=DAYS[first])
            if start != end and (start, end) != (5, 6):
                yield say(key, WEEKEND, place=place, days=(DAYS[start], DAYS[end]))
        kin = [
            world.places[p]
            for p, codes in sorted(world.official.items())
            if p != key and world.official.get(key) and world.official[key][0] in codes
        ]
        if kin:
            yield say(key, KIN, place=place, tongue=self.official[0], places=some(key, kin, 3))

    def related(self) -> list[tuple[str, str]]:
        links = [("language", c) for c in self.world.official.get(self.code, ())[:3]]
        links += [("language", c) for c, _ in self.world.spoken.get(self.code, ())[:3]]
        return links + [("currency", t.currency) for t in (*self.now, *self.old)][:4]
