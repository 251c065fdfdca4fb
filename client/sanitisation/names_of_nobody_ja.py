"""The same in Japanese: who is asked about as everybody knows them, and who is made up for a story.

What a sentence says of a book, a team or an age frees a name in it, unless the text speaks of its writer, or
somebody's telephone, or honours the name as one does with people one meets.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LONGEST = 1000
_OWN = re.compile(
    r"私|僕|俺|自分|弊社|当社|うち|我が家|わが家|お世話|担当|電話|携帯|住所|メール|患者|お客|顧客|社員|同僚|上司|部下|友人|友達|[0-9]{6}|@|〒"
)
_KNOWN = re.compile(
    r"選手|監督|名人|棋士|将棋|武将|戦国|大名|幕府|維新|総理|首相|大統領|作家|文豪|小説|短歌|俳句|映画|漫画|アニメ|ドラマ|俳優|女優|歌手|画家|作品|主人公|登場人物|キャラ|名言|功績|業績|生涯|半生|偉人|発明|はどんな人|とは誰|って誰|(?:は|が)誰|はなぜ有名|歴史|[一-龥]{2}時代|天皇|ノーベル|受賞|グランプリ|優勝|オリンピック|五輪|ワールドカップ|甲子園|プロ野球|メジャー|人気が|ファン|元寇|合戦|将軍|摂関|源氏|平家|貴族|[一-龥]{2,3}の乱|[一-龥]{2,3}の変"
)
_STORY = re.compile(
    r"(?:小説|物語|童話|昔話|脚本|台本|短編|ラノベ|ストーリー|二次創作|寓話|落語|コント|漫才|ポエム|なぞなぞ|文章題)[^。\n]{0,16}(?:書|作|続|考え|描|教え|冒頭|結末)|主人公|ヒロイン|勇者|魔王|むかしむかし|昔々"
)
_MET = re.compile(r"[ 　]?(?:様|さま|殿|さん|くん|ちゃん)")


@lru_cache(maxsize=4)
def _about(text: str) -> tuple[bool, bool]:
    """Does the text speak of somebody known; does it ask for a story?"""
    if len(text) > _LONGEST or _OWN.search(text):
        return False, False
    return _KNOWN.search(text) is not None, _STORY.search(text) is not None


def is_nobody(text: str, start: int, end: int) -> bool:
    """Is the name at text[start:end] a known or an invented person's?"""
    known, story = _about(text)
    return story or (known and _MET.match(text, end) is None)
