"""French phrases; accents are left out, and apostrophes are blanks."""

from __future__ import annotations

from pipeline.feedback.report_text.wording import Effect, Wording, words_in

OF = r"(?: de| d| du| des)?"
CHANGE = (
    "(?:changement|modification|regression|amelioration|progression|evolution|aggravation|"
    "majoration|diminution|augmentation|resolution|deterioration)s?"
)
CHANGED = (
    r"(?:modifi|regress|chang|augment|diminu|dispar|amelior|resol|aggrav|evolu|progress|major)\w*"
)
EXCLUDED = "(?:exclu|elimine|ecarte|infirme)e?s?"
EXCLUDE = "(?:eliminer|exclure|ecarter)"

FRENCH = Wording(
    common=words_in(
        "le la les des du de et pas sans une un au aux avec dans est droit gauche aucun aucune "
        "pour en faveur absence l ni"
    ),
    before={
        Effect.ASKED: (
            rf"(?:a la )?recherche{OF}",
            rf"bilan{OF}",
            rf"question{OF}",
            rf"suspicion clinique{OF}",
            rf"(?:pour )?{EXCLUDE}",
        ),
        Effect.HISTORY: (
            rf"antecedents?(?: personnels?)?{OF}",
            r"ancien(?:ne|s|nes)?",
            rf"sequell(?:e|es|aires?){OF}",
            rf"histoire{OF}",
            r"apres",
            rf"a distance{OF}",
            r"post",
            r"traitees?",
        ),
        Effect.UNCERTAIN: (
            rf"suspecte?s?{OF}",
            rf"suspicion{OF}",
            r"suspectee?s?",
            r"possibles?",
            r"probables?",
            r"probablement",
            r"vraisemblable(?:ment|s)?",
            r"eventuelle?s?",
            r"compatibles? avec",
            r"pouvant (?:\w+ )?(?:evoquer|correspondre|etre)",
            r"peut (?:\w+ )?(?:evoquer|correspondre)",
            r"(?:faisant|fait) (?:discuter|suspecter|evoquer)",
            r"diagnostics? differentiels?",
            r"versus",
            r"vs",
            r"douteu(?:x|se|ses)",
            rf"(?:atypiques?|pas typiques?|peu typiques?){OF}",
            r"non",
            rf"plus{OF}",
            r"jamais",
            r"rien",
            r"guere",
            r"contre",
            rf"en defaveur{OF}",
            rf"peu{OF}",
        ),
        Effect.NEGATED: (
            r"pas",
            r"sans",
            r"aucun(?:e|s|es)?",
            r"ni",
            r"absence",
            rf"(?:pas|sans|aucun|aucune|absence){OF} "
            rf"(?:argument|signe|element|image|lesion|aspect)s? (?:\w+ ){{0,3}}"
            rf"(?:en faveur|pour|evocateurs?|evocatrices?|suspects?|suspectes?){OF}",
            rf"(?:pas|sans|absence|aucune){OF} suspicion{OF}",
            rf"disparition(?: complete)?{OF}",
            rf"resolution complete{OF}",
            rf"(?:peu|non|pas) (?:evocateurs?|evocatrices?|en faveur|suspects?|suspectes?){OF}",
            EXCLUDED,
            rf"indemnes?{OF}",
            r"plutot que",
            rf"permet(?:tant)? (?:d )?{EXCLUDE}",
            r"(?:completement )?(?:disparue?s?|resolue?s?)",
        ),
    },
    after={
        Effect.HISTORY: (r"il y a \w+ (?:mois|ans|semaines)", r"anciennes?"),
        Effect.UNCERTAIN: (
            r"(?:pas|non|jamais|guere|plus)",
            r"a discuter",
            r"(?:est |reste |restent )?(?:possible|probable|suspectee?|discutable|vraisemblable)s?",
            r"versus",
            r"vs",
            r"a confirmer",
        ),
        Effect.NEGATED: (
            r"(?:pas|plus) (?:\w+ment )?(?:visible|retrouve|visualise|identifie|individualise|"
            r"observe|vu)e?s?",
            r"n est plus (?:visible|retrouvee?|individualisee?)",
            r"non (?:retrouve|visualise|visible|identifie|individualise|mis en evidence|"
            r"mise en evidence)e?s?",
            r"absente?s?",
            r"negati(?:f|ve|fs|ves)",
            EXCLUDED,
            r"peu (?:probable|vraisemblable)s?",
            r"(?:a |ont |est )?(?:completement )?(?:disparue?s?|resolue?s?)",
            r"(?:aucune?|non|neant)(?=\W*$)",
        ),
    },
    none=(
        rf"(?:pas|sans|absence|aucune?){OF} (?:\w+ ){{0,2}}{CHANGE}",
        r"(?:pas|non) (?:seulement|uniquement)",
        rf"pas (?:encore |ete )?(?:\w+ment )?{CHANGED}",
        r"sans (?:injection|contraste|produit de contraste|comparaison)",
        r"non (?:injecte|calcifie|compliqu|vaccin)\w*",
        r"sans (?:aucun )?doute",
        r"apres (?:injection|contraste)",
        r"pas (?:indemne|exempt)e?s?",
        r"pas sans",
    ),
    ends=(
        r"mais",
        r"cependant",
        r"toutefois",
        rf"en dehors{OF}",
        r"hormis",
        r"a l exception",
        r"sauf",
        r"en revanche",
        r"par contre",
        r"il existe",
        r"on (?:retrouve|note|observe)",
        r"dans (?:le cadre|un contexte)",
        r"chez un",
        r"au profit",
    ),
    alternatives=(r"ou", r"ni"),
)
