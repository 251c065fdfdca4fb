"""What numbers and user names are called that only their label makes private: words in several languages."""

from __future__ import annotations

PASSPORT = r"passports?|パスポート|旅券|reisepass\w*|pass-?nr|passeport|pasaporte|passaporto"
"""Passports."""

LICENCE = "|".join(
    (
        r"driv(?:er'?s?|ing|ers)['’]?s?[ _\-]?licen[cs]e|driver_?licen[cs]e",
        "(?<![A-Za-z])dln?(?![A-Za-z])|licen[cs]e (?=(?:no|number|num|#))",
        r"(?:my|his|her|their|your) licen[cs]e(?=[ :](?:is |was )?[A-Za-z0-9\-]{7,})|運転免許証?|免許証?",
        r"führerschein\w*|fuehrerschein\w*|permis(?: de conduire)?",
        "(?:permiso|licencia|carn[ée]t?) de conduci[rt]|patente",
    )
)
"""Driving licences."""

HEALTH = "|".join(
    (
        "health (?:insurance|card|plan)(?: (?:card|member|policy))?",
        "insurance (?:card|member|policy|id)|medicare(?: beneficiary)?|medicaid",
        "(?<![A-Za-z])mbi(?![A-Za-z])|(?<![A-Za-z])nhs(?![A-Za-z])|(?<![A-Za-z])mrn(?![A-Za-z])",
        "(?<![A-Za-z])ohip(?![A-Za-z])|medical (?:record|id)|patient[ _]?(?:id|number|no|#)",
        "hospital (?:number|id)|insurance(?= [A-Za-z]{0,4}[0-9]{6,})|krankenkassen?-?(?=nr|nummer)",
        "health card|chart (?:no|number)|健康保険証?|保険証|被保険者証?|保険者|診察券|カルテ|患者|資格確認書|医療証|介護保険|記号・?番号|記号",
        r"krankenversicher\w*|versichertennummer|kvnr|carte vitale|s[ée]curit[ée] sociale",
        r"tarjeta sanitaria|num[ée]ro de s[ée]cu\w*|seguridad social",
    )
)
"""Health insurance and patients' numbers."""

BANK = "|".join(
    (
        r"(?:bank |checking |savings |deposit )?(?:account|acct|a/c)(?:[ _\-]?(?:number|no|num|nr|#))",
        r"(?:bank|checking|savings|deposit|chequing)[ _\-]?(?:account|acct)|routing",
        r"(?<![A-Za-z])aba(?![A-Za-z])|sort[ _\-]?code|(?<![A-Za-z])bsb(?![A-Za-z])",
        r"beneficiary account|acct\.?|a/c|口座|普通(?:預金)?|当座(?:預金)?|(?:普通|当座)口座|貯蓄預金|konto(?:nummer|nr)?",
        "(?<![A-Za-z])blz(?![A-Za-z])|bankleitzahl|(?:num[ée]ro de )?compte(?: bancaire)?",
        "(?<![A-Za-z])rib(?![A-Za-z])|cuenta(?: bancaria)?|(?:n[úu]mero de )?cuenta",
        "(?<![A-Za-z])ccc(?![A-Za-z])|transit",
    )
)
"""Bank accounts."""

ACCOUNT = "|".join(
    (
        r"(?:customer|client|member(?:ship)?|account|acct|subscriber|employee|staff|personnel|student|user|patron|loyalty|rewards?|frequent[ -]flyer|mileage|policy|contract|tenant|tenancy|lease|subscription|profile|guest|vendor|merchant|donor|badge|worker|player|case worker|aws account|billing account|library card|ktn|known traveler|redress|global entry|skymiles|enrollment|matriculation|registration|credential|device|installation|party|cust|emp|mem|uid)[ _\-]{0,2}(?:id|no|number|num|nr|ref(?:erence)?|code|#|key)",
        "(?:customerid|userid|accountid|memberid|clientid|employeeid|studentid|customer_id|user_id|account_id|member_id|client_id|employee_id|student_id)",
        r"会員(?:番号|ID|No\.?)?|お客様(?:番号|ID|コード)?|顧客(?:番号|ID|コード)?|契約(?:番号|者番号|ID)?|社員(?:番号|ID|証)?",
        "従業員(?:番号|ID)?|職員(?:番号|ID)?|学籍番号|学生(?:番号|証番号|証)?|受験番号|証券番号|保険証券(?:番号)?|アカウント(?:番号|ID)",
        "ユーザー(?:番号)|利用者(?:番号|ID)|加入者番号|マイレージ(?:番号)?|ポイントカード(?:番号)?|会員カード|基礎年金番号|年金番号|雇用保険(?:被保険者)?番号",
        "kunden(?:nummer|nr|-nr)|mitglieds(?:nummer|nr)|vertrags(?:nummer|nr)|matrikel(?:nummer|nr)",
        "personal(?:nummer|nr)",
        "(?:num[ée]ro|n°|nº) (?:de |d')?(?:client|adh[ée]rent|contrat|assur[ée]|soci[ée]taire|dossier|abonn[ée])",
        r"versicherungs(?:nummer|nr|schein\w*)|polic(?:en|e)-?(?:nummer|nr)",
        "(?:n[úu]mero|n[º°]) de (?:p[óo]liza|contrato|abonado|afiliad[oa]|expediente)",
        "(?:n[úu]mero|id) de (?:cliente|socio|empleado)",
    )
)
"""What somebody is a customer, a member, an employee by."""

NATIONAL = "|".join(
    (
        r"(?:tax(?:payer)?|national|identity|identification|resident|citizen|social insurance|personal)[ _\-]?(?:id|identification|card|number|no)(?: (?:number|no))?",
        r"(?:id|identity) card|personalausweis\w*|ausweis\w*|carte d'identit[ée]",
        "(?<![A-Za-z])cni(?![A-Za-z])|(?<![A-Za-z])dni(?![A-Za-z])|(?<![A-Za-z])nie(?![A-Za-z])",
        "(?<![A-Za-z])cpf(?![A-Za-z])|在留カード|身分証(?:明書)?|国民年金|住民票コード",
        "n(?:ational )?i(?:nsurance)?[ _]?(?:no|number)|(?<![A-Za-z])nino(?![A-Za-z])|voter id",
        "gov(?:ernment)?[ _]?id|(?<![A-Za-z])curp(?![A-Za-z])",
    )
)
"""What a state gives its people."""

USER = "|".join(
    (
        r"user[ _\-]?names?|user\.name(?=\s?[=:])|login(?:[ _\-]?(?:name|id|user))?|user[ _\-]?id|screen[ _\-]?name",
        r"nick(?:name)?|handle|gamer[ _\-]?tag|psn(?: id)?|steam(?: id)?|account[ _\-]?name",
        r"(?:log(?:ged|ging)?|sign(?:ed|ing)?)[ \-]?(?:in|on|into) as|login as|connect(?:ed|ing)? as",
        "running as|(?<![A-Za-z])uid(?![A-Za-z])|auth(?:enticated)? (?:as|user)|owner|author",
        "committer|assignee|created_by|updated_by|reporter|requester|usr|benutzername|nutzername",
        "nom d'utilisateur|identifiant|nombre de usuario|usuario",
        r"(?:my |her |his |their |our )?(?:github|gitlab|twitter|instagram|insta|telegram|discord|slack|tiktok|reddit|skype|steam|twitch|snapchat|mastodon|bluesky|linkedin|wechat|kakao|line|xbox|facebook|fb|ig|x)(?:[ _\-]?(?:user(?:name)?|handle|account|id|profile|name))",
        "(?:github|gitlab|twitter|instagram|insta|discord|telegram|tiktok|reddit|twitch|snapchat|steam|skype|LINE|インスタ|ツイッター)(?=[ ]?[:：は])",
        "db_user|postgres_user|mysql_user|database_user|smtp_user|ftp_user|ssh_user|(?<![A-Za-z])user",
        "ユーザー?(?:名|ID|ネーム)|(?<![A-Za-z])ID(?=[はが：:])|ログイン(?:名|ID)|アカウント(?:名)?|ハンドルネーム|ハンドル|ニックネーム",
        "(?:LINE|ライン|Twitter|X|インスタ|Instagram|Discord|Skype|Steam)の?(?:ID|アカウント|ユーザー名)",
    )
)
"""User names, by site and by program."""
