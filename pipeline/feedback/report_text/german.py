"""German phrases; umlauts are spelt out."""

from __future__ import annotations

from pipeline.feedback.report_text.wording import Effect, Wording, words_in

NO = "kein(?:e|en|er|es|em|erlei)?"
CHANGE = (
    "(?:aenderung|veraenderung|befundaenderung|zunahme|groessenzunahme|rueckbildung|abnahme|"
    "progredienz|progress|progression|regredienz|regression|besserung|befundwandel|dynamik|"
    r"\w*verschlechterung|\w*verbesserung|\w*besserung)"
)
CHANGED = (
    r"(?:\w*(?:besser|schlechter|aender|zugenommen|abgenommen)\w*|progredient|regredient|"
    r"ruecklaeufig|zurueckgebildet|rueckgebildet|kleiner|groesser)"
)
WORDS = r"(?:\w+ ){0,2}"

GERMAN = Wording(
    common=words_in(
        "der die das und kein keine keinen nicht mit im ist links rechts auf bei beidseits ohne "
        "nach von zum zur eine einer eines den dem"
    ),
    before={
        Effect.ASKED: (
            r"frage nach",
            r"frage",
            r"zum (?:sicheren )?ausschluss",
            r"zur abklaerung",
            r"klinisch(?:er|em|en)? verdacht(?: auf)?",
            r"klinisch",
        ),
        Effect.HISTORY: (
            r"zustand nach",
            r"status nach",
            r"status post",
            r"anamnestisch(?:e|er|en|em)?",
            r"frueher(?:e|er|en|em)?",
            r"stattgehabt(?:e|er|en|em)?",
            r"abgelaufen(?:e|er|en|em)?",
            r"durchgemacht(?:e|er|en|em)?",
            r"vorangegangen(?:e|er|en|em)?",
            r"ehemalig(?:e|er|en|em)?",
            r"alt(?:e|er|en|em)",
            r"residuen(?: nach| einer)?",
            r"narb(?:e|en|ig\w*) nach",
            r"nach",
            r"post",
        ),
        Effect.UNCERTAIN: (
            r"verdacht(?: auf)?",
            r"verdaechtig auf",
            r"(?:suspekt|suggestiv) (?:auf|fuer)",
            r"fraglich(?:e|er|en|es|em)?",
            r"moeglich(?:e|er|en|es|em|erweise)?",
            r"eventuell(?:e|er|en|es)?",
            r"am ehesten",
            r"wahrscheinlich(?:e|er|en|es)?",
            r"vermutlich(?:e|er|en|es)?",
            r"vereinbar mit",
            r"hinweis(?:e|en)? (?:auf|fuer)",
            r"hinweisend auf",
            r"differentialdiagnos\w*",
            r"differenzialdiagnos\w*",
            r"(?:untypisch|atypisch|nicht typisch) fuer",
            r"versus",
            r"vs",
            r"denkbar(?:e|er|en|es)?",
            r"koennte(?:n)? (?:\w+ )?(?:entsprechen|sein)",
            r"nicht\w*",
            r"niemals",
            r"kaum",
            r"gegen",
            r"unvereinbar mit",
            r"ausschluss(?: einer| eines| von| der)?",
        ),
        Effect.NEGATED: (
            NO,
            r"ohne",
            r"weder",
            rf"(?:{NO}|ohne) {WORDS}(?:anhalt|anhaltspunkte?|hinweise?n?|nachweis|zeichen|verdacht|"
            r"korrelat|bild)(?: (?:auf|fuer|einer|eines|von|der|des))?",
            r"frei von",
            r"fehlend(?:e|er|en|es)?",
            r"fehlen (?:von|einer|eines)",
            r"ausgeschlossen(?:e|er|en|es)?",
            r"vollstaendig(?:e|er)? rueckbildung (?:der|des|einer|eines|von)",
            r"vollstaendig (?:zurueckgebildete|regrediente)[rsn]?",
            r"unwahrscheinlich(?:e|er|en|es)?",
            r"nicht mehr (?:nachweisbar|abgrenzbar|erkennbar|sichtbar)(?:e|er|en|es)?",
        ),
    },
    after={
        Effect.ASKED: (r"zum ausschluss",),
        Effect.HISTORY: (r"in der anamnese", r"vor (?:\w+ )?(?:jahren|monaten|wochen)"),
        Effect.UNCERTAIN: (
            r"nicht",
            r"kaum",
            r"niemals",
            r"(?:ist |sind )?(?:moeglich|denkbar|fraglich|wahrscheinlich)",
            r"differentialdiagnos\w*",
            r"differenzialdiagnos\w*",
            r"versus",
            r"vs",
            r"nicht (?:sicher |eindeutig )?(?:bewiesen|gesichert|zu sichern)",
        ),
        Effect.NEGATED: (
            r"nicht (?:(?:mehr|eindeutig|sicher|zu) ){0,2}(?:nachweisbar|abgrenzbar|erkennbar|"
            r"sichtbar|"
            r"vorhanden|nachzuweisen|darstellbar|abzugrenzen|erkennen|abgrenzen|nachweisen|vor|"
            r"bestaetigt|nachgewiesen)",
            rf"{NO}(?=\W*$)",
            r"ausgeschlossen",
            r"unwahrscheinlich",
            r"negativ",
            r"vollstaendig (?:zurueckgebildet|regredient|rueckgebildet)",
            r"komplett (?:zurueckgebildet|regredient|rueckgebildet)",
            r"nicht mehr (?:nachweisbar|abgrenzbar|erkennbar|sichtbar)",
        ),
    },
    none=(
        rf"(?:{NO}|ohne) {WORDS}{CHANGE}",
        r"nicht (?:nur|zunehmend|frei von|ohne)",
        rf"nicht (?:(?:wesentlich|signifikant|vollstaendig|komplett|ganz|deutlich|"
        rf"mehr) )?{CHANGED}",
        r"(?:ohne|keine?) (?:iv |i v |intravenoese[sn]? |zugabe von |gabe von )?(?:km|kontrast\w*)",
        rf"{NO} zweifel(?: an)?",
        r"nach (?:kranial|kaudal|dorsal|ventral|basal|lateral|medial|apikal|kontrastmittel\w*|"
        r"links|rechts|wie vor)",
        r"zum vergleich",
    ),
    ends=(
        r"aber",
        r"jedoch",
        r"allerdings",
        r"ausser",
        r"bis auf",
        r"abgesehen von",
        r"sondern",
        r"hingegen",
        r"dagegen",
        r"bei",
        r"es (?:zeigt|zeigen|finden|findet) sich",
        r"dafuer",
        r"dabei",
    ),
    alternatives=(r"oder", r"noch", r"bzw", r"beziehungsweise"),
)
