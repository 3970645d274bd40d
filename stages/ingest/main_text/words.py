"""What classes, ids, roles and styles say of an element: words, and what each speaks for.

A class or id is cut into words at everything that is no letter and where a capital follows a small letter; each word is
looked up, and so are all letters of a class together: `entry-content`, `entryContent` and `entrycontent` are one.

Source: our own selection of words that sites use, English, and Chinese in pinyin; roles are those of WAI-ARIA 1.2,
properties those of schema.org.
"""

from __future__ import annotations

from stages.ingest.main_text.names import (
    ATTRIBUTE_SEED,
    ATTRIBUTES,
    ELEMENT_SEED,
    IDS,
    PROPERTY_SEED,
    ROLE_SEED,
    STYLE_SEED,
    WORD_SEED,
    names_of,
)

# What is said of an element, as bits of its flags.
AWAY = 1  # beside the text: navigation, sharing, advertising, lists of other pages
WEAKLY = 2  # that too, unless another word is for text
COMMENTS = 4  # what readers wrote
TOWARDS = 8  # a word for text
CONTENT = 16  # the name of what holds a page's text
MODAL = 32  # a banner or window over the page: consent, sign in
UNSEEN = 64  # hidden
LINK = 128
NOT = 256  # the next word of the class does not count
# What the scanner and the scoring add.
SPACED = 512  # white space stands before it
BROKEN = 1024  # with a line end
LINKED = 2048  # in a link
SURE, UNLIKELY = 4096, 8192  # it goes for what it is, or for what it is called
DROPPED = 16384  # it, or what it is in, goes
KEEP = 32768  # holds the main text
SENTENCES = 262144  # a block whose own text is sentences
FEED = 131072  # mostly announces other pages
CUT = 65536  # goes, though the main text is around it

_WORDS = {
    AWAY: (
        # where else to go
        "nav navbar navbox navigation navi menu menus submenu dropdown breadcrumb breadcrumbs crumb crumbs sidebar "
        "sidebox sidenav sidemenu sider rail pagination pager paginator paging navlinks toc tocbox prevnext postnav "
        "postnavigation skiplink skip sitemap footnav bottombar sitefooter pageheader siteheader masthead mainnav "
        "subnav globalnav topnav leftnav rightnav jumplinks linklist backtotop totop gotop "
        # what else there is
        "related relate relates relatedposts relatedlinks recommend recommended recommendation recommendations "
        "recirc recirculation trending mostpopular mostread hotnews hotlist suggested suggestions similar morelinks "
        "morenews morestories morearticles nextup upnext outbrain taboola teaser teasers readnext alsoread "
        "popularposts recentposts "
        # what is asked or sold
        "share sharing sharebar sharebox sharer sharedaddy shares socials sns addthis addtoany bdshare jiathis "
        "followus subscribe subscription newsletter newsletters signup signin login register optin promo promos "
        "promotion advert adverts advertise advertisement advertisements advertising ads adsbygoogle adbox adslot "
        "sponsor sponsored sponsors donate donation qrcode erweima feedback socialshare "
        # who says so
        "copyright disclaimer editsection mweditsection printonly noprint authorbox authorbio aboutauthor gutter "
        "linenos linenumbers lineno "
        # Chinese
        "daohang dibu fenxiang xiangguan tuijian xgyd xgxw xgwz hotxw guanggao banquan mianbao mbx zhuanfa "
        "shangyipian xiayipian paihang remen"
    ),
    WEAKLY: (
        "header footer foot topbar toolbar popular rank ranking ranklist more carousel slider previous next prev "
        "latest hotspot social follow banner banners rating ratings vote votes like likes download poll survey "
        "widget widgets tags taglist tagcloud keywords legal licence license metadata postmeta entrymeta byline "
        "pubinfo toolbox tools weizhi lastnext bread hot meta"
    ),
    COMMENTS: (
        "comment comments commentlist commentarea commentbox commentform commentslist commentthread disqus respond "
        "reply replies livefyre pinglun liuyan discussion guestbook cmt cmts"
    ),
    TOWARDS: (
        "article articles body content contents entry main text story post posts page blog detail details paragraph "
        "prose news chapter answer question markdown doc document documentation wiki zhengwen neirong wenzhang"
    ),
    CONTENT: (
        "articlebody articlecontent articletext entrycontent postcontent postbody posttext storybody "
        "storycontent storytext newscontent newsbody newstext "
        "textcontent bodycopy blogpost blogcontent detailcontent contentdetail "
        "mwparseroutput mwcontenttext markdownbody richtext richmediacontent trseditor articledetail newsdetail "
        "hentry hnewsentry readcontent chaptercontent txtcontent articlecon artibody postarticle articlecontents "
        "contentarticle"
    ),
    MODAL: (
        "cookie cookies cookiebar cookiebanner cookieconsent cookienotice consent gdpr ccpa onetrust modal modals "
        "popup popups lightbox overlay interstitial paywall toast tooltip popover loginbox tanchuang"
    ),
    NOT: "has with no without hide",
}
_ROLES = {
    AWAY: "navigation banner contentinfo complementary search menu menubar toolbar directory tablist",
    MODAL: "dialog alertdialog tooltip",
    TOWARDS: "main article document",
}
_PROPERTIES = {
    CONTENT: "articlebody reviewbody",
    TOWARDS: "text mainentity description",
    COMMENTS: "comment",
    AWAY: "breadcrumb",
}
_STYLES = ("display:none", "visibility:hidden")

_entries: dict[tuple[int, str], int] = {(ELEMENT_SEED, name): number for name, number in IDS.items()}
_entries |= {(ATTRIBUTE_SEED, name): number for number, name in enumerate(ATTRIBUTES, 1)}
_entries |= {(STYLE_SEED, declaration): UNSEEN for declaration in _STYLES}
for _seed, _table in ((WORD_SEED, _WORDS), (ROLE_SEED, _ROLES), (PROPERTY_SEED, _PROPERTIES)):
    for _bit, _members in _table.items():
        for _word in _members.split():
            _entries[_seed, _word] = _entries.get((_seed, _word), 0) | _bit

ENTRIES = _entries
NAMES = names_of(ENTRIES)
