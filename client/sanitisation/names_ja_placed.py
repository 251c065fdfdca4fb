"""Where in a Japanese sentence only a person stands: who scolds and lies, who is thanked and rung up, behind a role
or a label, in a list of members. There a surname may be a place's, or of no list, and a given name a plain word.

A run of kanji of no list is shown to the tagger again with an honorific behind it: its dictionary holds ten times as
many surnames as the lists, and takes them for words or places in a bare sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import japanese, listed, public_figures
from renga.client.sanitisation.names_ja import hiragana, tagged, usual
from renga.client.sanitisation.names_of_nobody_ja import is_nobody
from renga.client.sanitisation.scanning import Scanned, matches

_NOT_NAMES = listed("before an honorific") | listed("no given names")
_PLACES = listed("places that are surnames")
_WORDS = listed("hiragana names that are words") | listed("hiragana kin")

_ACTS = re.compile(
    r"[がはも](?:[^。、\n]{0,6}?)(?:うるさ|怒|泣い|言った|言って|言う|言わな|そう言|遅刻|休み|休ん|辞め|退職|入社|返して|返さ|払って|浮気|無視|嘘|覚えな|謝|悩ん|勤め|欠席|出席|発表|担当|やります|入院|退院|亡くな|結婚|離婚|妊娠|熱を出|風邪|けが|怪我|転職|異動し|昇進|卒業し|合格し|寝て|電話に出|教えてくれ|手伝って|助けて|来ない|来なか|知らないって|パワハラ|セクハラ|引っ越)"
    r"|に(?:[^。、\n]{0,4}?)(?:謝|怒られ|叱られ|振られ|フラれ|言われ|聞いたら|聞かれ|聞いてみ|貸し|借り|返し|返さ|誘われ|渡し|伝え|頼ま|頼み|相談し|内緒|告白|似て|シフト|会い|会った|電話|嫌われ|騙され|お願い|お礼|送っ|送り|声をかけ)"
    r"|から(?:[^。、\n]{0,4}?)(?:電話|返事|返信|LINE|ライン|言われ|相談|もらった|聞いた|内定|借り|連絡|メール)"
    r"|と(?:[^。、\n]{0,4}?)(?:喧嘩|ケンカ|付き合|結婚|離婚|別れ|仲直り|話し|話した|会う|会った|飲み|飲ん|遊|不仲)"
    r"|を(?:[^。、\n]{0,4}?)(?:誘|叱|褒め|推薦|見かけ|昇進|選任|任命|招待|説得|慰め|励まし|採用|解雇|クビ|欠席させ|休ませ|迎えに|預け|許せ|許し|責め)"
    r"|の(?:両名|代理|やつ|奴(?!隷)|相続|カルテ|弔電|機嫌|奥さん|旦那|息子|娘さん|結婚式|送別会|歓迎会|葬儀|通夜|遺産|遺言|愚痴|悪口|連絡先|携帯|代わり|退職)"
    r"|の(?:運動会|入学式|卒業式|授業参観|予防接種|送り迎え|お迎え|保育園|幼稚園|参観日|誕生日会)|は元気|は[0-9０-９一二三四五六七八九十]{1,2}歳|(?:ペア|コンビ)|って(?:書いて|読む)|って(?:いう|言う)?(?:上司|先輩|後輩|同僚|奴|やつ|友達)|より[、]?(?:電話|と書かれ|連絡|伝言|よろしく)|っていうんだけど"
)
"""Behind somebody: what is done by and to persons only."""
_DOES = re.compile(
    r"[がはも](?:[^。、\n]{0,6}?)(?:酔|倒れ|走っ|笑|歌っ|踊|遅れ|間違|失敗|提案|反対|賛成|説明し|質問し|出張|帰省|入籍|出産|受賞|引退|復帰|就職|留学|独立し|起業|欠勤|残業|早退|勤務|運転|逮捕|骨折|手術|通院|育休|産休|有給|来る|来た|帰っ|帰る|作った|書いた|送ってき|持って|待って|住んで|知って|困って|頑張|努力|心配|悲し|喜ん|驚|疲れ|忙し|詳し|優し|厳し|苦手|得意|上手|下手)"
    r"|(?:に|へ)(?:[^。、\n]{0,6}?)(?:教え|見せ|説明|報告|連絡|返信|返事|挨拶|感謝|確認|質問|提出|引き継|任せ|預け|紹介|贈|あげ)|(?:から|より)の(?:メール|電話|手紙|依頼|返事|伝言|プレゼント)|と(?:[^。、\n]{0,6}?)(?:打ち合わせ|約束|食事|旅行|相談|交代|連絡|出かけ|働|仕事)|を(?:[^。、\n]{0,4}?)(?:待っ|手伝|呼ぶ|呼び|送って|迎え|訪ね|尊敬|信頼|指名|担当に)"
)
"""What persons do, and towns and firms now and then."""
_ROLE = re.compile(
    r"(?:契約者|申込者|申請者|依頼人|相続人|名義人|受取人|差出人|振込人|被相続人|加入者|入居者|新郎|新婦|被告人?|原告|患者|講師|司会|幹事|店長|キャプテン|弁護士|税理士|叔父|叔母|伯父|伯母|祖父|祖母|保護者|選手|社員|会長|故|同期|大家|上司|先輩|後輩|同僚|部下|友人|親友|担任|主治医|隣人|隣|代表|運転手|秘書|部員|顧問|監督|提出者|確認者|作成者|担当者?|責任者|出席者|参加者|メンバー|宛先|宛名|[一-龥]{1,3}者|[一-龥]{1,3}係|[一-龥]{1,2}役|氏名|名前|姓名|マネージャー|リーダー|オーナー|コーチ)[ 　]?(?:の|は|:|：|、|・|　|\"?[:：][ 　]?\"?)?[ 　]?[「『\"]?$"
)
_ROLE_HEAD = re.compile(
    r"前(?=[一-龥]{2})|最近|先週|昨日|今日|明日|来週|今朝|本日|先日|先月|来月|昨夜|今度|契約者|申込者|申請者|依頼人|相続人|名義人|受取人|新郎|新婦|被告人?|原告|患者|叔父|叔母|伯父|伯母|祖父|祖母|保護者|社員|会長|店長|講師|司会|幹事|故|友人|同僚|弁護士|担当"
)
_RUN = Scanned(r"(?<![一-龥々])[一-龥々]{1,8}(?:ヶ[一-龥々]{1,3})?")
_TAIL = re.compile(r"[ 　]?([ぁ-ん]{2,4}|[ァ-ヴー]{2,5})?")
_SPACED = re.compile(r"[ 　]([一-龥々]{1,3})(?![一-龥々])")
_BOUND = re.compile(
    r"[、。」』）)\"'\n　 ]|[がはもにをとのへでや]|から|より|です|と申|だ|殿|様|さん|氏|宅|$|[（(]"
)
_HONOUR = re.compile("さん|さま|くん|ちゃん|どの|せんせい")
_TITLED = re.compile(
    "(?:課長|部長|係長|社長|主任|先生|教授|店長|会長|医師|氏|様|君|殿|先輩|後輩|弁護士|議員|監督|夫妻|課長補佐|次長|室長)$"
)
_TURN = Scanned(r"^[ 　>]{0,4}\[?[0-9]{1,2}[:：][0-9]{2}\]?[ 　]{1,2}([一-龥々]{1,4})(?=[ 　]?[:：「])", re.M)
_TO = Scanned(r"^([一-龥々]{1,4}|[ぁ-ん]{2,5})へ(?=[、　 \n]|$)", re.M)
_SELF = Scanned(r"(?:(?<=[。、\n「])|^)([ぁ-ん]{3,8})(?=と申し|ともうし)", re.M)
_OF_KIN = Scanned(
    r"(?:彼氏|彼女|旦那|妻|夫|娘|息子|母|父|祖母|祖父|弟|妹|兄|姉|友達|友人|親友|同僚|後輩|先輩|孫|姪|甥)の([ぁ-ん]{2})(?=から|に|が|は|と|を)"
)
_OF_MANY = Scanned(
    r"(?<![一-龥々])([一-龥々]{1,4}(?:(?:、|・|と|，|, )[一-龥々]{1,4}){1,8})(?=の[二三四五六七八2-8２-８](?:人|名)|(?:が|は)[^。、\n]{0,8}(?:付き合|喧嘩|欠席|出席|参加|遅刻|来)|(?:、|。)?それから|に(?:も)?声|の席)"
)
_CALLED = Scanned(
    r"(?:(?<=[「『])|^)([一-龥々]{1,3})(?=、(?:あの|この|その|お前|ちょっと|ごめん|今日|明日|ありがとう|どう|元気|悪い|頼む|聞いて|また|久しぶり|早く|なんで|いい加減))",
    re.M,
)
_HAILED = Scanned(
    r"(?:(?<=[「『。\n])|^)([ぁ-ん]{2,5})、(?=ごめん|ありがとう|お誕生日|元気|大好き|おめでとう|聞いて|頑張|がんば|久しぶり|おかえり|ただいま)|(?:(?<=[。、\n])|^)([ぁ-ん]{2,4})(?=と別れ|と喧嘩|に振られ|から(?:LINE|返信|返事|電話|連絡)|が(?:泣|怒|熱|風邪)|に会いたい)",
    re.M,
)
_AGED = Scanned(
    r"(?<![ぁ-んァ-ヴー])([ぁ-ん]{3,8}|[ァ-ヴー]{3,8})(?=[（(、 　][0-9０-９一二三四五六七八九十]{1,3}(?:歳|才|か月|ヶ月))"
)
_SPACED_HONOURED = Scanned(
    r"(?<![一-龥々])(([一-龥々]{1,4})[ 　]([一-龥々]{1,3}|[ぁ-ん]{2,4}|[ァ-ヴー]{2,5}?))(?=[ 　]?(?:夫妻|夫婦|さん|様|氏|殿|くん|君|ちゃん|先生|医師|弁護士|両名|宛))"
)
_BOOK = re.compile(r"名字|苗字|姓は|名前の(?:由来|意味|読み)|漢字の|地名|由来|画数|県|観光|駅")


class _Is(IntEnum):
    """What a run of kanji may be, by itself."""

    WORD = 0
    GIVEN = 1
    MAYBE = 2
    """An unknown surname before a given name."""
    PLACE = 3
    """A surname that places have, too."""
    SURNAME = 4
    WHOLE = 5


@lru_cache(maxsize=8192)
def _shown(run: str) -> str:
    """What the tagger takes it for before an honorific: 姓, 名, or another kind of word; "" for several."""
    words = tagged(run + "さん", 0)
    return words[0].what if words and words[0].surface == run else ""


@lru_cache(maxsize=8192)
def _plain(run: str) -> bool:
    """Is it a noun, to the tagger?"""
    words = tagged(run, 0)
    return len(words) == 1 and words[0].what in ("名詞", "")


@lru_cache(maxsize=8192)
def _read(run: str) -> _Is:
    lists = japanese()
    if run in _NOT_NAMES or run in public_figures()[0] or run in public_figures()[1]:
        return _Is.WORD
    if run in lists.surnames:
        place = run in _PLACES or len(run) == 1 or tagged(run, 0)[0].what == "地"
        return _Is.PLACE if place else _Is.SURNAME
    words = tagged(run, 0)
    if len(words) == 1 and words[0].what in ("地", "組", "名詞") and len(run) > 1 and run not in lists.given:
        return _Is.SURNAME if _shown(run) == "姓" else _Is.WORD
    for at in (2, 3, 1, 4):
        surname, given = run[:at], run[at:]
        if (
            given
            and given in lists.given
            and given not in _NOT_NAMES
            and (surname in lists.surnames or (len(surname) > 1 and _shown(surname) == "姓"))
        ):
            return _Is.WHOLE if len(run) > 2 else _Is.MAYBE
    if len(run) > 1 and _shown(run) == "姓":
        return _Is.SURNAME
    if run in lists.given:
        return _Is.GIVEN
    for at in (2, 3):
        if len(run[at:]) == 2 and run[at:] in lists.given and not _plain(run[at:]) and not _plain(run):
            return _Is.MAYBE
    return _Is.WORD


def placed_names_ja(text: str) -> Iterator[Found]:
    """Persons in a reading of the text, by their place in the sentence."""
    return (one for one in _placed(text.translate(usual)) if not is_nobody(text, one.start, one.end))


def _placed(text: str) -> Iterator[Found]:
    if _BOOK.search(text):
        return
    for match in matches(_RUN, text):
        yield from _of_run(text, match.start(), match.end())
    for match in matches(_OF_MANY, text):
        items = list(re.finditer("[一-龥々]+", match[1]))
        kinds = [_read(item[0]) for item in items]
        if min(kinds) >= _Is.PLACE and (max(kinds) >= _Is.SURNAME or match[1].count("、") > 1):
            for item in items:
                yield Found(match.start(1) + item.start(), match.start(1) + item.end(), Kind.PERSON, 0.6)
    for match in matches(_AGED, text):
        if _parts_of(match[1]) and match[1] not in _WORDS:
            yield Found(*match.span(1), Kind.PERSON, 0.7)
    for match in matches(_SPACED_HONOURED, text):
        if match[3] in japanese().given or hiragana(match[3]) in japanese().given_kana:
            yield Found(*match.span(1), Kind.PERSON, 0.7)
    turns = [(match, _read(match[1])) for match in matches(_TURN, text)]
    if len({match[1] for match, _ in turns}) > 1 and any(kind >= _Is.PLACE for _, kind in turns):
        for match, kind in turns:
            if kind is not _Is.WORD:
                yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in matches(_TO, text):
        name = match[1]
        if _read(name) >= _Is.PLACE or name in japanese().given or name in japanese().given_kana:
            if name not in _NOT_NAMES and name not in _WORDS:
                yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in matches(_SELF, text):
        if _parts_of(match[1]):
            yield Found(*match.span(1), Kind.PERSON, 0.74)
    for match in matches(_OF_KIN, text):
        words = tagged(match[1], 0)
        if match[1] in japanese().given_kana and (len(words) > 1 or words[0].what == "名"):
            yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in matches(_HAILED, text):
        group = match.lastindex or 1
        if match[group] in japanese().given_kana and match[group] not in _WORDS:
            yield Found(*match.span(group), Kind.PERSON, 0.6)
    for match in matches(_CALLED, text):
        if _read(match[1]) >= _Is.PLACE or (len(match[1]) > 1 and _read(match[1]) is _Is.GIVEN):
            yield Found(*match.span(1), Kind.PERSON, 0.6)


def _of_run(text: str, start: int, end: int) -> Iterator[Found]:
    """A run of kanji behind a role or before what a person does."""
    before = text[max(0, start - 12) : start]
    head = _ROLE_HEAD.match(text, start, end)
    role = _ROLE.search(before) is not None
    if head is not None and head.end() < end and _read(text[start:end]) < _Is.PLACE:
        start, role = head.end(), True
    run = text[start:end]
    if (titled := _TITLED.search(run)) is not None and titled.start() > 1:
        core = run[: titled.start()]
        if _read(core) >= _Is.SURNAME:
            yield Found(start, start + len(core), Kind.PERSON, 0.62)
        return
    kind = _read(run)
    stop = end
    if kind >= _Is.PLACE or (len(run) > 1 and role):
        stop = _with_given(text, start, end, kind)
        kind = _Is.WHOLE if stop > end else kind
    if kind is _Is.WORD or len(run) > 6:
        return
    acting = _ACTS.match(text, stop) is not None or (
        kind >= _Is.SURNAME and _DOES.match(text, stop) is not None
    )
    if kind is _Is.WHOLE and stop == end and _BOUND.match(text, end) and _surname_first(run):
        acting = True
    bare = kind >= _Is.SURNAME and kind is not _Is.WHOLE and not _HONOUR.match(text, end)
    if bare and not acting and stop == end:
        tail = _TAIL.match(text, end)
        for size in range(4, 1, -1):
            if tail and tail[1] and len(tail[1]) >= size and _ACTS.match(text, end + size):
                stop, kind, acting = end + size, _Is.WHOLE, True
                break
    if not (acting or (role and _BOUND.match(text, stop))):
        return
    if kind is _Is.GIVEN and not acting and (_plain(run) or len(run) == 1):
        return
    if kind is _Is.GIVEN and acting and len(run) > 1 and _plain(run) and run[-1] not in "子美香奈郎介太":
        return
    if (
        kind is _Is.PLACE
        and role
        and not acting
        and before.endswith(("隣の", "代表", "代表の", "担当", "社員", "メンバーは"))
    ):
        return
    yield Found(start, stop, Kind.PERSON, 0.79 if kind is _Is.WHOLE else 0.62)


def _with_given(text: str, start: int, end: int, kind: _Is) -> int:
    """Where the name ends whose surname is text[start:end]: behind a given name in kana, or after a space."""
    lists = japanese()
    spaced = _SPACED.match(text, end)
    if spaced is not None and (spaced[1] in lists.given or spaced[1] in lists.surnames):
        return spaced.end()
    if kind < _Is.PLACE or _HONOUR.match(text, end):
        return end
    tail = _TAIL.match(text, end)
    for size in range(len(tail[1]) if tail and tail[1] else 0, 1, -1):
        assert tail is not None
        given = tail[1][:size]
        stop = tail.start(1) + size
        if _BOUND.match(text, stop) and (hiragana(given) in lists.given_kana or _kana_given(given)):
            return stop
    return end


def _parts_of(kana: str) -> bool:
    """Is it a surname and a given name, or one of the latter?"""
    lists, plain = japanese(), hiragana(kana)
    return plain in lists.given_kana or any(
        plain[:at] in lists.surname_kana and plain[at:] in lists.given_kana for at in range(2, len(plain) - 1)
    )


@lru_cache(maxsize=4096)
def _surname_first(run: str) -> bool:
    """Does it begin with a surname to the tagger, and are the rest known as a given name?"""
    words = tagged(run, 0)
    return (
        words[0].what == "姓"
        and len(words[0].surface) > 1
        and run[len(words[0].surface) :] in japanese().given
    )


@lru_cache(maxsize=4096)
def _kana_given(kana: str) -> bool:
    words = tagged(kana, 0)
    return len(words) == 1 and words[0].what == "名"
