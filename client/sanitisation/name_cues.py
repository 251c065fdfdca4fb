"""What is said around a name of a person in Latin script: titles, greetings, labels, kinship, verbs, contacts.

One pattern per cue; `names_latin` weighs them.
"""

from __future__ import annotations

import re

from renga.client.sanitisation.scanning import Scanned

AFTER_NAME = re.compile(
    r"[ \t]{0,2}(?:'s\b|’s\b)?[ \t]{0,2}(?:\([^()\n@]{2,40}\)[ ])?(?:<|\(|\[)?[ \t]{0,2}(?:mailto:)?[\w.+\-]{1,64}@[\w\-]+\."
)
# What stands before a name and says that one comes: the name may then be lower case or of no lexicon.
STRONG = Scanned(
    r"(?<![A-Za-z])(?:my (?:full |legal |real |first |last |middle |maiden |user)?name(?:'s| is| was|:)|(?:the )?name(?: on (?:the |my )?(?:card|account|file|passport|ticket|reservation))?(?:'s| is|d| was|:)|i(?:'|’)?m called|call me|they call me|i go by|known as|named(?: after)?|signed by|(?:prepared|submitted|approved|reviewed|requested|reported|filed|sent|issued) by"
    r"|mr\.?|mrs\.?|ms\.?|mx\.?|miss|dr\.?|prof\.?|professor|doctor|nurse|officer|detective|judge|attorney|herrn?|frau|[swdh]/o|(?:git config (?:--\w+ )?)user\.name|halter(?:in)?|kontoinhaber(?:in)?|fahrzeughalter(?:in)?|unfallgegner(?:in)?|antragsteller(?:in)?|geschädigte[rn]?|monsieur|madame|mme\.?|mlle\.?|señora?|sr\.|sra\.|signora?|don|doña|sir|dame|rev\.|pastor|father|sister|sgt\.?|capt\.?|lt\.?|col\.?|dott\.?|ing\."
    r"|ich (?:heiße|heisse|bin)|mein name ist|je m'appelle|je suis|mon nom est|me llamo|mi nombre es|soy|mi chiamo|mijn naam is|sehr geehrter? (?:herr|frau)|lieber?|cher|chère|querid[oa]|estimad[oa]"
    r"|spoke (?:with|to)|talked (?:with|to)|met with|meeting with|interview(?:ed)? with|appointment with|behalf of|c/o|attn:?|attention:?|addressed to|payable to|beneficiary(?: is|:)?|care of|in care of"
    r"|(?:spoke|talked|met|call|chat) w/|belongs to|gehört|gehoert|pertenece a|appartient à|(?:titular|propietari[oa]|dueñ[oa]|inhaber(?:in)?|account holder|cardholder|titulaire)[^.\n?!:]{0,50}? (?:es|ist|est|is)"
    r"|(?:m(?:a|on)|notre|votre|s(?:a|on)|t(?:a|on)) (?:\w+ )?(?:s(?:oe|œ)ur|frère|mère|père|maman|papa|femme|mari|épou(?:x|se)|fille|fils|amie?|collègue|patronn?e?|cheffe?|voisine?|copain|copine|cousine?|oncle|tante|médecin|dentiste|avocate?|propriétaire|locataire|associée?|compagne|compagnon)"
    r"|(?:mis?|nuestr[oa]|su|tu) (?:\w+ )?(?:herman[oa]|madre|padre|mujer|marido|espos[oa]|hij[oa]|amig[oa]|jef[ea]|vecin[oa]|compañer[oa]|novi[oa]|prim[oa]|t[íi][oa]|abuel[oa]|médic[oa]|dentista|abogad[oa]|caser[oa]|clienta?|soci[oa])"
    r"|(?:mein|unser|sein|ihr|dein)(?:e[mnrs]?)? (?:\w+ )?(?:schwester|bruder|mutter|vater|frau|mann|tochter|sohn|freund(?:in)?|kolleg(?:en?|in)|chef(?:in)?|nachbar[ns]?(?:in)?|cousine?|onkel|tante|oma|opa|arzt|ärztin|hausmeister(?:in)?|schwager|schwägerin|neffen?|nichte|enkel(?:in)?|großvater|großmutter|schwieger(?:mutter|vater|sohn|tochter)|verlobte[rn]?|lehrer(?:in)?|trainer(?:in)?|praktikant(?:in)?|azubi|anwalt|anwältin|vermieter(?:in)?|mieter(?:in)?|partner(?:in)?|mitbewohner(?:in)?|kunde|kundin)"
    r"|(?:mi[ao]|il mio|la mia|mijn|meu|minha) (?:sorella|fratello|madre|padre|moglie|marito|figli[oa]|amic[oa]|collega|capo|vicin[oa]|zus|broer|moeder|vader|vrouw|man|dochter|zoon|vriend(?:in)?|baas|irm[ãa]o?|mãe|pai|marido|esposa|filh[oa]|amig[oa]|chefe)"
    r"|(?:my|our|his|her|their|your|ex)[ -](?:\w+ )?(?:wife|husband|son|daughter|brother|sister|mother|father|mom|mum|dad|boss|manager|colleague|co-?worker|friend|neighbou?r|roommate|flatmate|landlord|landlady|tenant|doctor|dentist|therapist|lawyer|boyfriend|girlfriend|gf|bf|bff|bestie|hubby|wifey|fiance|fiancee|ex|mate|buddy|partner|fiancée?|cousin|uncle|aunt|nephew|niece|grandmother|grandfather|grandma|grandpa|teacher|client|customer|patient|employee|assistant|supervisor|coach|nanny|accountant|advisor|tutor|classmate|stepson|stepdaughter|mother-in-law|father-in-law|brother-in-law|sister-in-law|intern|applicant|candidate|recruiter|witness|defendant|plaintiff|agent|ceo|cto|cfo|vp|director|lead|hr manager|kid|baby|toddler|twin)s?(?:,| is| was| named| called|'s name is)?)"
    r"[ \t,:]{1,3}[\"'*_]{0,2}",
    re.I,
)  # fmt: skip
INTRODUCED = re.compile(
    r"(?:name(?:'s| is| was)|named|called|je m'appelle|me llamo|mi nombre es|ich hei(?:ß|ss)e|mi chiamo|mein name ist|ich bin)[ \t:,]{1,3}$",
    re.I,
)
ROLE = Scanned(
    r"(?<![A-Za-z])(?:(?:book|booked|reserved?|reservation|booking|table|appointment)(?: \w+)? (?:under|for)(?: the name(?: of)?)?|witness|defendant|plaintiff|attendees?|participants?|applicants?|patients?|tenant|landlord|employees?|students?|victim|suspect|colleagues?|coworkers?|manager|supervisor|pt\.?|patientin|kunde|kundin|mandant|mandantin|versicherter?|cleaner|babysitter|nanny|gardener|plumber|candidates?|caller|passenger|cyclist|pedestrian|babysitter|stepdad|stepmom|stepfather|stepmother|godfather|godmother|resident|borrower|insured|claimant|buyer|seller|driver|owner|guests?|bride|groom|author(?:ed by)?|authori[sz]e|appoint|nominate|on behalf of|engineer|nurse|teacher|professor|lawyer|attorney|therapist|accountant|neighbou?r|roommate|friends?|cousin|uncle|aunt|grandma|grandpa)[,:]?[ ]{1,2}[\"'*_]{0,2}",
    re.I,
)
GREETING = Scanned(
    r"(?<![A-Za-z])(?:i(?:'|’)?m|i am|this is|it(?:'|’)?s|it was|here is|hi|hiya|hello|hey|dear|morning|good (?:morning|afternoon|evening)|thanks|thank you|cheers|regards|best|best wishes|yours|yours truly|love|xoxo|kind regards|best regards|warm regards|warmly|respectfully|sincerely|take care|congrats|congratulations|sorry|happy birthday|liebe|lieber|hallo|salut|hola|querid[oa]|ciao|gruß|grüße|grüßen|gruss|grüsse|cordialement|saludos?|abrazos?|besos|atentamente|atte|bien à vous|amicalement|bises|bisous|mfg|vg|lg|saluti|groeten|groetjes|pozdrawiam|abraços?|yours faithfully|rgds|br|thx|ty"
    r"|(?:letter|e-?mail|message|text|note|card|gift|package|parcel|reference|eulogy|toast|poem|reply|response|voicemail|complaint|invitation|apology|postcard) (?:to|for|from)|(?:brief|mail|nachricht|sms|whatsapp|paket|einladung|rechnung|überweisung|karte|antwort|absage|kündigung|geschenk) (?:an|für|von)"
    r"|(?:lettre|mail|message|courriel|sms|colis|facture|virement|réponse|carte) (?:à|pour|de)|(?:carta|correo|mensaje|paquete|factura|transferencia|respuesta|regalo) (?:a|para|de))"
    r"[ \t,!.\-–—]{1,3}(?:\r?\n[ \t>\-–—]{0,4}){0,2}[\"'*_]{0,2}",
    re.I,
)
NO_PERSON_TAIL = re.compile(
    r"(?:'s|’s|')?[ ](?:law|laws|principle|paradox|theorem|lemma|conjecture|syndrome|disease|palsy|effect|constant|number|equation|inequality|acid|acidity|base|reaction|rule|rules|wort|scale|index|criterion|coefficient|probe|knot|opening|gambit|defen[cs]e|variation|attack|process|method|cycle|engine|cell|curve|diagram|test|sort|distribution|trap|razor|dilemma|sequence|transform|series)(?![A-Za-z])"
    r"|[ ](?:Inc|Ltd|LLC|Corp|GmbH|Co\.|Company|University|College|Street|St\.|Avenue|Ave|Road|Hospital|School|Bank|Airport|Park|Prize|Award|Stadium|Foundation|Institute|theorem|algorithm|equation|distribution|Island|Bay|County|Hotel|Museum|Series|Group|Cup|Trophy|Open|Falls|Beach|Square|Valley|Canyon|Gardens|Palace|Castle|Cathedral|Motorsport|Plan|Doctrine|Accords?|Treaty|Hole|Springs|Harbou?r|Terrace|Medal|Bowl|Games|Tower|Reaper|Ranch|Farms|Brewery|Bakery|Diner|Grill|Airlines|Motors|Records|Pictures|Studios|Press|Publishing|Pharma\w*|Center|Centre|Code|Framework|Library|API|Cloud|Studio|Language|series|transform|distribution|method|the [A-Z][a-z]+)\b"
)
PUBLIC_TALK = Scanned(
    r"(?<![a-z])(?:who (?:is|was|were|won|wrote|invented|discovered)|(?:novels?|books?|poems?|plays?|films?|movies?|songs?|albums?|quotes?|paintings?) (?:by|of|from)|written by|starring|directed by|lyrics|singers?|bands?|actors?|actress|characters?|protagonist|presidents?|prime minister|emperor|pope|philosoph\w+|economists?|scientists?|physicists?|mathematicians?|inventors?|painters?|artists?|composers?|footballers?|players?|athletes?|biography|theory|theories|theorem|historical|century|polic(?:y|ies) of|sang|sings|chords|playlist|fans of|horoscopes?|zodiac|retrograde|gemini|virgo|scorpio|sagittarius|capricorn|aquarius|pisces|bake off|contestants?|in the style of|difference between|compare|comparison|versus|vs\.?|world cup|nobel|famous|celebrit\w+|wars?|revolution|empire|dynasty|plot|authors|literature|essay on|politicians?|senators?|ideas of|hamlet|macbeth|othello|king lear|odyssey|iliad|bible|myths?|mythology|legends?|fairy tales?|folk tales?|stor(?:y|ies) (?:about|in which|where|with)|tale of|knights?|wizards?|anime|manga|sitcoms?|simpsons|tv show|fictional|shakespeare)(?![a-z])",
    re.I,
)
DEALINGS = re.compile(
    r"(?<![a-z])(?:cvs?|résumés?|resumes?|applicants?|candidates?|employees?|feedback|performance review|character reference|reference (?:for|letter)|job interview|tenants?|landlord|invoices?|severance|diagnos[ei]s|appointment|invitation|chair the meeting|minutes|seating plan|aged [0-9])(?![a-z])",
    re.I,
)
"""What people have to do with persons whom nobody else knows."""
WORK = re.compile(
    r"[ ]?(?:'s|’s)?[ ](?:novels?|books?|films?|movies?|songs?|albums?|theory|theories|theorem|poems?|plays?|paintings?|symphony|speech|presidency)\b"
)
CONTACT = re.compile(
    r"[ ]{0,2}(?:[,(|\-–—:\[]|at|on|tel\.?|phone|cell|mobile)?[ ]{0,2}(?:at|on|tel\.?|phone|cell|mobile|ph\.?|m)?[:.]?[ ]{0,2}"
    r"\+?\(?(?!(?:19|20)[0-9]{2}[\-/.][0-9]|(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])|97[89][\- ])[0-9][0-9\-. ()/]{7,20}[0-9](?![0-9])",
    re.I,
)
"""A telephone number behind a name; not a date, an Internet address or an ISBN."""
HANDS = re.compile(
    r"(?<![a-z])(?:send|sent|sending|email|emailed|text|texted|owes?|lend|lent|pay|paid|remind|tell|told|ask|asked|bring|brought|gave)[ ]$",
    re.I,
)
THING = re.compile(r"[ ](?:the|an?|my|our|his|her|some|this|that|these|those|about|to)[ ]")
CLOSED = re.compile(r"[ ]?(?:[,!\n\-–\"”»]|$)")
KING = re.compile(r"[IVX]{2,5}")
AGAIN = re.compile(r"[ ](?:from|here|again|calling|and[ ](?:my|i|we|our))(?![A-Za-z])", re.I)
HERE = re.compile(r"[ ](?:from|here|again|calling|at|with)\b", re.I)
CODE_TAIL = re.compile(r"[(\[_/\\=]|\.[A-Za-z(]|::")
PLACE_BEFORE = re.compile(
    r"\b(?:Mount|Mt\.?|Lake|San|Santa|Saint|St\.?|Los|Las|El|La|New|Fort|Port|North|South|East|West|Cape|River|Camp|Visual|Apache|Amazon|Google|Microsoft|Apple|Adobe|Oracle|Team|Project|Operation|Hurricane|Storm)[ ]$"
)
MARKS = Scanned(r"(?:[,;:\-–—(\[\"'|>/•·*]|[0-9][.)])[ \t]{0,3}(?:\r?\n[ \t>]{0,4}){0,2}[\"'*_(]{0,2}")
WEAK = Scanned(
    r"(?<![A-Za-z])(?:i(?:'|’)?m|i am|this is|it(?:'|’)?s|here is|hi|hello|hey|dear|thanks,?|thank you,?|cheers,?|regards,?|best,?|sincerely,?|yours,?|love,?|xoxo,?|with|from|to|by|for|and|contact|email|e-mail|call|called|text|texted|ask|asked|tell|told|remind|invite|cc|ping|message|messaged|meet|met|met with|visit|visiting|hired|fired|promote|thank|owner|author|reviewer|assignee|reporter|signed|sincerely yours|kind regards,?|best regards,?|warm regards,?|respectfully,?|said|between|works? with|dating|married|marry|forward(?:ed)? to|cc'?d|loop in|assign(?:ed)? to|gruß|grüße|cordialement|saludos|atentamente|mfg|vg|lg)"
    r"[ \t]{1,3}(?:\r?\n[ \t>]{0,4}){0,2}[\"'*_(]{0,2}",
    re.I,
)  # fmt: skip
LABEL = Scanned(
    r"(?<![A-Za-z])(?:(?:full|first|last|given|family|middle|sur|fore|nick|maiden|legal|display|contact|customer|client|patient|employee|student|user|account|card|holder|account ?holder|cardholder|recipient|sender|billing|shipping|guest|passenger|beneficiary|insured|tenant|applicant|candidate|author|owner|manager|emergency|member|subscriber|spouse|parent|guardian|doctor|physician|provider|attendee|participant|payee|payer|buyer|seller|witness|signatory|policyholder|host|driver|teacher|contact)?[ _\-]?name(?:_?(?:first|last|full|kana|kanji|en|ja))?|(?:account|card|policy)[ _\-]?holder|patient|customer|client|employee|recipient|sender|applicant|candidate|contact(?: person)?|emergency contact|beneficiary|cardholder|attendees?|participants?|guest|passenger|tenant|landlord|author|assignee|assigned to|reporter|owner|reviewer|supervisor|manager|physician|doctor|signed|signature|from|to|cc|bcc|attn|ship to|bill to|sold to|deliver to|next of kin|spouse|caller|witness|lead|poc|requester|submitted by|prepared by|nom|prénom|prenom|vorname|nachname|kunde|kundin|patientin|ansprechpartner|empfänger|absender|nombre|apellidos?|cliente|paciente|titular|nome|cognome|naam|kontoinhaber|inhaber|destinataire|titulaire|speaker|instructor|agent|rep|interviewer|interviewee|committer|co-authored-by|signed-off-by|hr|host|organizer|[\"'](?:given|family|first|last)|surname|forename|student|teacher|mother|father|parent|guardian|son|daughter|child|wife|husband)[\"'`*]{0,3}[ \t]{0,2}(?:=>|[:=|：]|->)[ \t]{0,3}[\"'`*\[]{0,3}",
    re.I,
)  # fmt: skip
NAME_FIELD = re.compile(
    r"(?:(?:full|first|last|given|family|middle|sur|legal|maiden|patient|customer|client|employee|student|cardholder|card[ _\-]?holder|account[ _\-]?holder|recipient|sender|contact)[ _\-]?name|[\"'](?:given|family|first|last|surname|forename)|surname|forename|vorname|nachname|prénom|apellidos?|cognome)[\"'`*]{0,3}\s{0,2}[:=][ \t]{0,3}[\"'`]{0,2}$",
    re.I,
)
TITLED = Scanned(
    r"(?<![A-Za-z])(?:mr|mrs|ms|mx|miss|dr|prof|professor|herrn?|frau|monsieur|madame|mme|mlle|señora?|sra?|signora?|sir|dame)\.?[ \t]{1,2}",
    re.I,
)
JAPANESE_TITLE = re.compile(
    r"-?(?:san|sama|kun|chan|sensei|senpai|shi)(?![A-Za-z])|[ ]?(?:さん|様|さま|氏|くん|君|ちゃん|先生|殿)"
)
TO_SOMEBODY = re.compile(
    r"(?<![a-z])(?:ask|asked|tell|told|call|called|text|texted|email|emailed|message|ping|invite|remind|thank|meet|met|with|from|and|to|for|by|hi|hey|hello|thanks|dear|me and|love|cc|contact)[ ,]{1,2}$",
    re.I,
)
GERMAN_ROLE = re.compile(
    r"(?:Nachbar|Kolleg|Chef|Schwager|Schwäger|Neffe|Nichte|Enkel|Verlobt|Hausmeister|Lehrer|Trainer|Mitarbeiter|Bewerber|Patient|Mandant|Versichert|Hausarzt|Zahnarzt|Therapeut|Azubi|Praktikant|Handwerker|Freund|Bruder|Schwester|Mutter|Vater|Tochter|Sohn|Cousin|Onkel|Tante|Arzt|Ärzt|Anw[aä]lt|Vermieter|Mieter|Partner|Mitbewohner|Kund|Halter|(?:Konto)?[Ii]nhaber)[a-z]{0,4}"
)
"""Nouns that announce a name and are written like one."""
BOTHERS = re.compile(
    r"[^.!?\n]{0,48}?(?<![a-z])(?:e-?mail|call|text|messag|contact|follow|writ|ring|phon|invit|stalk|bill|charg|su|add|cc|ping|harass|threaten)(?:e|s|ed|ing|ting)?[ ](?:me|us|my|our)(?![a-z])",
    re.I,
)
"""What nobody does whom only books know: `… and why do they keep texting me`."""
WHO = re.compile(r"(?:'s|’s)?,?[ ]who(?:'s|[ ])", re.I)
NO_NAME_BEFORE = re.compile(
    r"\b(?:in|at|near|visit|of|the|a|an|on|via|using|use|than|like|vs\.?|into|near|run|install|called)[ ]$",
    re.I,
)
PERSONAL = re.compile(
    r"(?<![a-z])(?:my|our|i|i'm|i’m|me|us|he|she|his|her|him|hers|dear|regards|sincerely|employee|customers?|client|patient|tenant|phone|e-?mail|tel|meeting|attendees|contact|colleague|signed|address|mr|mrs|ms|dr|mein|meine|ich|mon|ma|je|mi|soy)(?![a-z])|@|[0-9]{7}",
    re.I,
)
TELL = re.compile(
    r"(?<![a-z])(?:ruf|rufe|frag|frage|sag|sage|appelle|demande à|dis à|llama a|dile a|pregunta a|escribe a|(?:fight|argu|talk|hang|liv|stay|go|sleep|broke|break|deal|cop|agree|disagree)\w* (?:out |up |in )?with|ask|asked|tell|told|called|texted|text|email|emailed|hi|hey|hello|dear|thanks|met|remind|invite|me and)[ ,]{1,2}$",
    re.I,
)
PERSON_VERB = re.compile(
    r"(?:'s|’s)?,?[ ](?:who(?:'s| is| was| has| turns| works| lives| lived| just| will)|said|says|told|asked|asks|called|emailed|texted|wrote|works?|worked|lives?|lived|moved|wants?|needs?|thinks?|is (?:my|a|an|our|the|in|at|on|from|not|going|coming|out|sick|late|leaving|\d+)|was (?:born|my|hired|fired|admitted|diagnosed|prescribed|late|here)|has (?:a|been|an|not)|born|will|can|could|would|has|had|joined|left|quit|died|married|and (?:i|my|her|his)|just|recently|complained|reported|reached|responded|replied|mentioned|submitted|approved|signed|agreed|paid|owes|visited|attended|graduated|lost|forgot|keeps?|never|always|doesn't|didn't|isn't|wasn't|won't|can't|at \d|phone|email|cell|mobile|address|salary|password|account|dob|ssn|birthday)(?![a-z])",
    re.I,
)
POSSESSION = re.compile(
    r"(?:'s|’s)[ ](?:\w+ )?(?:phone|email|e-mail|number|address|birthday|house|account|therapist|doctor|friend|friends|sister|brother|mom|mum|dad|parents|kids?|boyfriend|girlfriend|bf|gf|ex|boss|roommate|lawyer|dog|cat|party|wedding|funeral|place|room|salary|password|passport|ssn|wife|husband|son|daughter|mother|father|laptop|car|contract|resume|cv|file|record|results?|diagnosis|calendar|team|manager|desk|office|review|order|case|data|info\w*|details|name|dob|home|apartment|job|schedule|medical|insurance|bank|card|credit)",
    re.I,
)

BETWEEN_PEOPLE = re.compile(
    r"(?:'s|’s)?[ ](?:just[ ]|always[ ]|never[ ]|still[ ]|also[ ]|totally[ ]|literally[ ]|even[ ]|only[ ]|has[ ]|had[ ]|have[ ]|already[ ]){0,2}(?:said|says|told|asked[ ](?:me|us|him|her|my|if|for|whether)|lied|ignored|ignores|ghosted|dumped|cheated|cheating|texted|texts|messaged|called[ ](?:me|us|him|her|back|in)|apologi[sz]e[sd]?"
    r"|hates|loves|likes|thinks|feels|knows|wants[ ](?:me|us|him|her|to)|broke[ ]up|hasn't[ ](?:paid|called|texted|replied|answered)|left[ ](?:me|him|her|us|early)|cried|kissed|hugged|invited|promised|moved[ ](?:out|in)|snores|yelled|screamed|laughed|complained|owes|paid|borrowed|married|quit|resigned|forgot|sent[ ](?:me|us|him|her)|gave[ ](?:me|us|him|her)|helped[ ](?:me|us)|(?:changed|broke|took|lost|made|bought|fixed|did|found|wrote|knew|needs|wants|has|had|got|ate|stole|sold|used|deleted|opened|closed|moved|approved|rejected|signed|booked|cancell?ed)[ ](?:it|that|them|this|the|my|our|his|her|a|an|everything|nothing)"
    r"|is[ ](?:my|mad|upset|angry|pregnant|crying|jealous|single|married|dating|leaving|late|sick|lying|coming|moving|getting|being|so|always|never|on[ ]leave|from)|was[ ](?:like|my|mad|upset|angry|late|sick|crying|fired|hired|born|mean|rude)|from[ ](?:accounting|hr|it|sales|marketing|finance|legal|work|school|upstairs|downstairs|next[ ]door|apt|apartment|church|class|the[ ](?:office|team|gym|party)))(?![a-z])",
    re.I,
)
"""What people do to one another, and no program does."""
HAILED = re.compile(
    r"(?<![A-Za-z])(?:hi|hiya|hey|heya|hello|dear|xoxo|xx|xo|cheers|regards|thx|ty|love|good (?:morning|evening|afternoon)|morning)[ ,]{1,3}(?:\r?\n[ \t>]{0,4}){0,2}$|(?:thx|thanks|cheers|regards|best|love|ty|rgds|br)[,!. ]{0,2}\r?\n[ \t]{0,4}$",
    re.I,
)
GOES_ON = re.compile(
    r"[ ](?:can|could|would|will|do|did|are|is|just|i|i'm|it|it's|how|what|when|where|please|pls|you|hope|sorry|thanks|thx|and|so|this|my|we|u)(?![a-z])",
    re.I,
)
SIGNED = re.compile(r"(?:^|\n)[ \t>]{0,4}[-–—~]{1,2}[ ]?$|(?:^|[\s.!?])(?:xx?|xoxo|xo)[ ]$")
SAYS_WHO = re.compile(r"(?<![A-Za-z])(?:this is|it's|its|here is|i'm|im)[ ]$", re.I)
ABROAD = re.compile(
    r"[ ](?:hat|ist|war|will|sagt|sagte|meint|lügt|kommt|geht|nervt|kann|soll|wird|macht|schreibt|wohnt|heißt|m'a|t'a|a[ ](?:dit|fait|appelé|oublié)|est|était|veut|ment|mentait|arrive|habite|me|te|dijo|dice|está|quiere|miente|viene|vive|llamó|dass|que)(?![a-zà-ɏ])",
    re.I,
)
"""What a given name does in German, French and Spanish."""
ASKED_OF = re.compile(
    r"(?<![a-z])(?:can|could|is|was|will|does|did|has|should|may|would|dating|forgive|about|between|with|for|from|when|because|dass|que|how do i tell|do i tell)[ ]$",
    re.I,
)
GIFT = re.compile(
    r"[ ]for[ ](?:christmas|xmas|(?:her|his|their|the)[ ](?:birthday|bday|wedding)|valentine|hanukkah|mother's|father's)",
    re.I,
)
NAMED_AFTER = re.compile(
    r"(?<![a-z])(?:said|says|with|told|asked|call|called|meet|thanks|from my \w+|and)[ ]$", re.I
)
