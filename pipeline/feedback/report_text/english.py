"""English phrases."""

from __future__ import annotations

from pipeline.feedback.report_text.wording import Effect, Wording, words_in

OF = "(?:of|for|to suggest|suggestive of|suspicious for|suggesting)"
CHANGE = (
    r"(?:change|changes|increase|decrease|improvement|progression|resolution|worsening|regression|"
    r"clearing|deterioration)"
)
CHANGED = (
    r"(?:improv\w+|wors\w+|resolv\w+|deteriorat\w+|progress\w*|chang\w+|increas\w+|decreas\w+|"
    r"clear(?:ed|ing)|regress\w*)"
)
HOW = "(?:significant |interval |appreciable |substantial |definite |major |further )*"

ENGLISH = Wording(
    common=words_in(
        "the of and no is with there are right left lung lungs for without evidence not has"
    ),
    before={
        Effect.ASKED: (
            r"(?:to )?rule out",
            r"(?:to )?exclude",
            r"evaluate for",
            r"assess for",
            r"evaluation (?:of|for)",
            r"query",
            r"question of",
            r"clinical(?:ly)? (?:suspicion (?:of|for)|suspected|concern for)",
        ),
        Effect.HISTORY: (
            r"(?:known )?history of",
            r"hx of",
            r"previous(?:ly)?",
            r"prior",
            r"past",
            r"old",
            r"recent",
            r"treated",
            r"status post",
            r"post",
            r"after",
            r"(?:sequelae|residua|residual changes|scarring) (?:of|from|after)",
        ),
        Effect.UNCERTAIN: (
            r"possib(?:le|ly)",
            r"probab(?:le|ly)",
            r"(?:most |very )?likely",
            r"suspicious (?:of|for)",
            r"suspicion (?:of|for)",
            r"suspected",
            r"suspect",
            r"concern(?:ing)? for",
            r"questionable",
            r"equivocal (?:of|for)",
            r"indeterminate (?:of|for)",
            r"(?:may|might|could|can) (?:also )?(?:represent|reflect|be|indicate|suggest)",
            r"(?:to )?suggest(?:s|ing|ive of)?",
            r"compatible with",
            r"(?:in )?the differential(?: diagnosis)?",
            r"differential(?: diagnosis)?(?: includes| include)?",
            r"versus",
            r"vs",
            r"not",
            r"none",
            r"nothing",
            r"(?:hardly|scarcely|barely)(?: any)?",
            r"fail(?:s|ed)? to",
            r"against",
            r"(?:inconsistent|incompatible) with",
            r"(?:atypical|not typical|uncommon) (?:\w+ )?(?:of|for)",
        ),
        Effect.NEGATED: (
            r"no",
            r"without",
            r"nor",
            r"neither",
            r"never",
            rf"(?:no|without|not|lacks?) (?:\w+ ){{0,3}}(?:evidence|signs?|suspicion|indications?|"
            rf"features?|findings?|appearances?) (?:\w+ ){{0,2}}{OF}",
            r"no longer",
            r"negative for",
            r"(?:absence|lack) of",
            r"free (?:of|from)",
            r"clear of",
            r"(?:excludes?|excluded|excluding|ruled out|rules out)",
            r"(?:complete(?:ly)? )?(?:resolution of|resolved|cleared)",
            r"rather than",
            r"instead of",
            r"unlikely(?: to (?:be|represent))?",
            r"not (?:consistent|compatible|suggestive|suspicious|typical) (?:with|of|for)",
        ),
    },
    after={
        Effect.ASKED: (r"rule out",),
        Effect.HISTORY: (r"in the past", r"(?:months?|years?|weeks?) ago"),
        Effect.UNCERTAIN: (
            r"(?:is|are|remains?|was) (?:possible|suspected|likely|probable|questionable|"
            r"considered)",
            r"(?:not|cannot|can t|never|hardly|barely)",
            r"versus",
            r"vs",
            r"(?:is|remains?) (?:in )?(?:the|a) differential(?: diagnosis)?",
            r"(?:cannot|could not) be confirmed",
            r"less likely",
        ),
        Effect.NEGATED: (
            r"not (?:been )?(?:seen|identified|present|visible|demonstrated|detected|evident|"
            r"found)",
            r"(?:is|are|was|were) (?:absent|excluded|ruled out|unlikely)",
            r"absent",
            r"(?:none|no)(?=\W*$)",
            r"negative",
            r"unlikely",
            r"excluded",
            r"ruled out",
            r"(?:has|have|had|is|are)? ?(?:completely |fully |entirely |now )?(?:resolved|cleared)",
            r"no longer (?:seen|visible|present|identified|evident)",
        ),
    },
    none=(
        rf"(?:no|without|not any) {HOW}{CHANGE}",
        rf"no (?:longer|new) {CHANGE}",
        r"not (?:only|just|free of|without)",
        rf"(?:has|have|had|is|are|was|were|did|does)? ?not (?:yet |been )?(?:\w+ly )?{CHANGED}",
        r"(?:without|no) (?:iv |intravenous |the use of |administration of )*(?:contrast(?: \w+)?|"
        r"comparison|priors?)",
        r"(?:incompletely|partially|partly) (?:resolved|cleared)",
        r"(?:previous|prior|old|recent|past) (?:ct|study|studies|exams?|examinations?|scans?|"
        r"imaging|radiographs?|reports?|images?)",
        r"no doubt",
        r"cannot be denied",
        r"post (?:contrast|obstructive|primary)",
    ),
    ends=(
        r"but",
        r"however",
        r"although",
        r"though",
        r"except(?: for)?",
        r"apart from",
        r"aside from",
        r"other than",
        r"yet",
        r"there (?:is|are)",
        r"which",
        r"in the setting of",
        r"in an? (?:\w+ )?patient with",
        r"whereas",
        r"while",
    ),
    alternatives=(r"or", r"nor", r"and/or"),
)
