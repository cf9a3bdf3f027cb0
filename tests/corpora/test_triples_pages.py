"""Each kind of infobox mark-up, whole and broken, gives the names and values a reader sees."""

import io

import pytest

from stages.core.errors import Refusal
from stages.corpora.markup import Page
from stages.corpora.triples import wikitext
from stages.corpora.triples.markup import parted
from stages.corpora.triples.pages import PARSERS, box

OLD = """<title>钱学森_百度百科</title>
<dl><dd class="lemmaWgt-lemmaTitle-title"><h1>钱学森</h1><h2>（科学家）</h2></dd></dl>
<dl class="index"><dt><a>分类</a></dt><dd>艺术</dd></dl><div class="basic-info cmn-clearfix">
<dl class="basicInfo-block basicInfo-left"><dt class="basicInfo-item name">国&nbsp;&nbsp;籍</dt>
<dd class="basicInfo-item value">\n<a href="/x">中国</a><sup class="sup--normal">\n[1-2]</sup></dd>
<dt class="basicInfo-item name">主要成就</dt><dd class="basicInfo-item value">航天之父<br>导弹
<a class="toggle toExpand">展开</a><div class="basicInfo-overlap"><dl class="basicInfo-block overlap">
<dt class="basicInfo-item name">主要成就</dt><dd class="basicInfo-item value">航天之父<br>导弹之父
<a class="toggle toCollapse">收起</a></dd></dl></div></dd></dl></div>"""
NEW = """<title>余华（中国当代作家）_百度百科</title><h1 class="lemmaTitle_x J-lemma-title">余华</h1>
<div class="lemmaDesc_q">
<div class="lemmaDescText_x">中国当代作家</div><div class="polysemantText_1">3个同名词条</div></div>
<div class="basicInfo_spa J-basic-info"><dl class="basicInfoBlock_L left"><div class="itemWrapper_R">
<dt class="basicInfoItem_s itemName_U">中文名</dt><dd class="basicInfoItem_s itemValue_z"><span>余华</span></dd>
</div>
<div><dt class="basicInfoItem_s itemName_U">代表作品</dt>
<dd class="basicInfoItem_s itemValue_z">活着<br>兄弟</dd></div>"""
DATA = """<title>甲_百度百科</title><h1>甲</h1><script>window.PAGE_DATA={"card":{"left":[{"title":"中文名","data":
[{"text":[{"tag":"text","text":"甲"},{"tag":"ref","text":"[1]"}]},{"text":[{"tag":"lemma","text":"乙"}]}]}],
"right":null}};</script>"""
OLDEST = """<title>甲_百度百科</title><h1>甲</h1><div class="biItem"><div class="biItemInner">
<span class="biTitle">外文名
</span><div class="biContent">A <b>B</b></div></div></div>"""
HUDONG = """<div class="content-h1"><h1>苹果[水果]</h1></div>
<table><tr><td><strong>中文名：</strong><span>苹果</span></td>
<td><strong>科: </strong><span><a>蔷薇科</a></span></td></tr><tr><td><strong>无冒号</strong>x</td></tr></table>"""
WIKI = """<h1 id="firstHeading">上海 (专辑)</h1>
<table class="infobox vcard"><tr><th colspan=2>上海</th></tr>
<tr><th>发行<td>1999年<sup class="reference">[1]</sup><tr><td colspan=2>
<table class="infobox"><tr><th>子<td>孙</table>
<tr><th>值<td>前<table><tr><th>内<td>里</table>后</table>
<table class="infobox_v2"><tr><td><b>语言：</b>
<td><ul><li>汉语<li>英语</ul><span style="display:none">藏</span></table>"""
LISTED = """<nav><dl class="info"><dt>首页<dd>导航</dl></nav><h1>阿富汗</h1>
<dl class="basic-info"><dt class="name">货币<dd class="value">阿富汗尼<dt>语言<dd>甲语<dd>乙语"""
CASES = {
    "baike old": (OLD, "钱学森", "科学家", {"国\xa0\xa0籍": "中国 [1-2]", "主要成就": "航天之父\n导弹之父"}),
    "baike new": (NEW, "余华", "中国当代作家", {"中文名": "余华", "代表作品": "活着\n兄弟"}),
    "baike data": (DATA, "甲", "", {"中文名": "甲\n乙"}),
    "baike oldest": (OLDEST, "甲", "", {"外文名": "A B"}),
    "hudong": (HUDONG, "苹果", "水果", {"中文名": "苹果", "科": "蔷薇科"}),
    "mediawiki": (WIKI, "上海", "专辑", {"发行": "1999年", "子": "孙", "值": "前后", "内": "里", "语言": "汉语\n英语"}),
    "lists": (LISTED, "阿富汗", "", {"货币": "阿富汗尼", "语言": "甲语\n乙语"}),
}


@pytest.mark.parametrize(("page", "title", "sense", "pairs"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_a_box_is_read_as_a_reader_reads_it(page, title, sense, pairs, charset):
    found = box(Page.of(page.encode(charset)), tuple(PARSERS))
    assert (found.title, found.sense, dict(found.pairs)) == (title, sense, pairs)


@pytest.mark.parametrize(("page", "title", "sense", "pairs"), CASES.values(), ids=CASES)
def test_a_page_cut_anywhere_gives_no_wrong_names(page, title, sense, pairs):
    for end in range(0, len(page), 7):
        found = box(Page(page[:end]), tuple(PARSERS))
        names = [name for name, _ in found.pairs] if found else []
        assert all(any(whole.startswith(name.strip()[:1]) for whole in pairs) for name in names if name.strip()), end


NAVIGATION = """<title>某页_百度百科</title><h1>某页</h1><div class="information">
<dl class="special"><dt>特色<dd>历史</dl></div>
<dl class="basic"><dt>分类</dt><dd>艺术</dd></dl>"""


def test_navigation_is_no_box_and_a_mention_of_another_site_is_no_sign():
    for page in (NAVIGATION, NAVIGATION.replace("_百度百科", "")):
        assert box(Page(page), tuple(PARSERS)) is None
    for page, title, _, pairs in (CASES["mediawiki"], CASES["lists"]):
        found = box(Page(f"{page}<p>参见百度百科 basicInfo</p>"), tuple(PARSERS))
        assert found.title == title
        assert set(pairs) == {name for name, _ in found.pairs}


def test_a_page_without_a_box_gives_none_and_an_unknown_kind_is_refused():
    for page in (b"", b"<h1>x</h1><p>y", b"<dl class=info><dd>x</dl>", OLD.replace("dt", "b").encode()):
        assert box(Page.of(page), tuple(PARSERS)) is None
    with pytest.raises(Refusal, match="did you mean 'baike'"):
        box(Page("<p>"), ("baik",))


def test_a_title_and_its_sense_are_parted():
    assert parted("上海 (1919年电影)", "()") == ("上海", "1919年电影")
    assert parted("f(x)的导数", "()") == ("f(x)的导数", "")
    assert parted("(甲)", "()") == ("(甲)", "")
    assert parted("a(b)(c)", "()") == ("a(b)", "c")


TEXT = """文 {{noteTA|1=zh-hans:x}}{{Infobox <!-- 注 --> person
| name = '''鲁迅'''
| 国籍 = {{flag|中国}}
| birth_date = {{birth date|1881|9|25}}
| 职业 = -{zh-hans:软件工程师;zh-hant:軟體工程師}-、[[作家|写作者]]<ref name=a>{{cite|x}}</ref>
| works = {{plainlist|
* 《[[呐喊]]》
* 《彷徨》
}}
| 又名 = 周树人<br/>豫才 <!-- c -->
| web = [http://a.b 网站] {{lang|en|Lu Xun}}
| child = {{Infobox writer|流派=白话文}}
| 面积 = {{convert|10|km2}} | 空 =
| 原文 = <nowiki>}}</nowiki>止
}} 正文 {{Navbox|a=b}} {{userbox|c=d}} {{信息框 城市|人口=1,000|label1=市花|data1=玉兰}} {{Infobox cut | x = y"""


def test_the_boxes_of_wikitext_become_text():
    found = wikitext.box("鲁迅 (作家)", TEXT)
    assert (found.title, found.sense) == ("鲁迅", "作家")
    assert {name: value for name, value in found.pairs if value} == {
        "name": "鲁迅",
        "国籍": "中国",
        "birth_date": "1881年9月25日",
        "职业": "软件工程师、写作者",
        "works": "《呐喊》\n《彷徨》",
        "又名": "周树人\n豫才",
        "web": "网站 Lu Xun",
        "流派": "白话文",
        "面积": "10km2",
        "原文": "}}止",
        "人口": "1,000",
        "市花": "玉兰",
        "x": "y",
    }
    assert wikitext.box("甲", "没有模板，也没有 {{box|a=b}} {{Navbox|c=d}}") is None


def test_a_dump_gives_its_articles_one_by_one():
    page = "<page><title>{}</title><ns>{}</ns>{}<revision><timestamp>{}</timestamp><text>{}</text></revision></page>"
    xml = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"><siteinfo/>' + "".join(
        page.format(*row)
        for row in (
            ("甲", 0, "", "2024-01-01T00:00:00Z", "x"),
            ("模板:乙", 10, "", "", "y"),
            ("丙", 0, '<redirect title="甲"/>', "", "z"),
            ("丁", 0, "", "", "w"),
        )
    )
    whole = list(wikitext.pages(io.BytesIO((xml + "</mediawiki>").encode())))
    assert whole == [("甲", "2024-01-01T00:00:00Z", "x"), ("丁", "", "w")]
