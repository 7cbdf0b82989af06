"""Sentences as radiologists write them, made up: what each says of pneumonia, and of COVID-19.

None is of a real report. P positive, N negative, U uncertain, - nothing.
"""

from __future__ import annotations

ENGLISH = """
No evidence of pneumonia. | N -
There is no focal consolidation, effusion or pneumonia. | N -
Findings are consistent with COVID-19 pneumonia. | P P
Bilateral ground-glass opacities typical of COVID-19. | - P
Right lower lobe pneumonia, unchanged. | P -
No change in the known pneumonia of the left lower lobe. | P -
No significant interval improvement of the bilateral pneumonia. | P -
Pneumonia has completely resolved. | N -
History of COVID-19 pneumonia two years ago. Lungs are clear today. | - -
Pneumonia cannot be excluded. | U -
Possible early viral pneumonia. | U -
Findings are suspicious for COVID-19. | - U
Atypical appearance for COVID-19. | - U
Negative for pneumonia. | N -
Lungs are clear without infiltrate. | N -
No pneumothorax; pneumonia in the lingula. | P -
No effusion, but right basal pneumonia. | P -
Indication: rule out pneumonia. Findings: Lungs clear. Impression: Normal chest CT. | - -
Clinical history: COVID-19 suspected.
Findings: no infiltrates.
Impression: No CT evidence of COVID-19. | N N
COVID-19 is unlikely. | - N
Not free of infiltrates. | P -
It does not exclude pneumonia. | U -
CO-RADS 5. | - P
CO-RADS category 1, no sign of infection. | - N
CO-RADS 3: equivocal findings. | - U
Multifocal pneumonia, in keeping with COVID-19. | P P
Atelectasis versus pneumonia at the left base. | U -
Pneumonia is not seen. | N -
No longer visible infiltrates. | N -
Status post COVID-19 infection, residual reticulation. | - -
Vaccinated against COVID-19. No acute disease. | - -
COVID-19 PCR negative. Lobar pneumonia of the right upper lobe. | P -
Organizing pneumonia pattern. | - -
Usual interstitial pneumonia with honeycombing. | - -
No typical signs of COVID-19 pneumonia. Lobar pneumonia of the left lower lobe is more likely. | P N
There is new consolidation compatible with pneumonia. | U -
Impression:
1. Pneumonia of the right middle lobe
2. No pulmonary embolism | P -
No evidence for acute pulmonary embolism or
pneumonia. | N -
Neither effusion nor infiltrate. | N -
No suspicion of COVID-19 pneumonia. | - N
Known COVID-19 pneumonia with progression. | P P
Infiltrates have increased compared to the prior study. | P -
Interval resolution of the infiltrates. | N -
Pneumonia? | U -
The tumour infiltrates the chest wall. | - -
Mild cardiomegaly. No pleural effusion. | - -
Without evidence of viral pneumonia in this patient with fever. | N -
Likely pneumonia in the left lower lobe. | U -
No COVID. | - N
Findings: Consolidation, possibly pneumonia. Impression: Pneumonia of the left lower lobe. | P -
"""

GERMAN = """
Kein Nachweis einer Pneumonie. | N -
Keine Infiltrate, kein Erguss. | N -
Kein Pleuraerguss, Pneumothorax oder Infiltrat. | N -
Kein Pleuraerguss, Pneumonie im rechten Unterlappen. | P -
Beidseitige Milchglastrübungen, typisch für eine COVID-19-Pneumonie. | P P
Kein Anhalt für eine COVID-19-Pneumonie. | - N
Kein Hinweis auf pneumonische Infiltrate. | N -
V.a. Pneumonie links basal. | U -
Verdacht auf COVID-19. | - U
Z.n. COVID-19-Pneumonie, narbige Residuen. | - -
Zustand nach Pneumonie 2019. | - -
Unveränderte Pneumonie im linken Oberlappen. | P -
Keine wesentliche Befundänderung der bekannten Pneumonie. | P -
Keine Rückbildung der Infiltrate. | P -
Eine Pneumonie ist nicht auszuschließen. | U -
Eine beginnende Pneumonie kann nicht sicher ausgeschlossen werden. | U -
Pneumonie ausgeschlossen. | N -
Infiltrate lassen sich nicht abgrenzen. | N -
Eine Pneumonie liegt nicht vor. | N -
Die Lunge ist frei von Infiltraten. | N -
Die Lunge ist nicht frei von Infiltraten. | P -
Fragestellung: Pneumonie? Befund: Unauffällige Lunge. Beurteilung: Regelrechter Befund. | - -
Klinische Angaben: Fieber, V.a. COVID-19.
Befund: Kein Infiltrat.
Beurteilung: Kein CT-Korrelat einer COVID-19-Infektion. | N N
Befund vereinbar mit einer viralen Pneumonie. | U -
Am ehesten Pneumonie, DD Atelektase. | U -
Atelektase, DD Pneumonie. | U -
Weder Erguss noch Infiltrat. | N -
Nicht nur Atelektasen, sondern auch Infiltrate im rechten Unterlappen. | P -
COVID-19 unwahrscheinlich. | - N
CO-RADS 4. | - U
CO-RADS 2, kein Hinweis auf eine virale Genese. | - N
Untypisch für COVID-19. | - U
Keine Infiltrate mehr nachweisbar. | N -
Vollständige Rückbildung der Pneumonie. | N -
Infiltrate rechts basal, progredient. | P -
Bronchopneumonie im Mittellappen. | P -
Keine Zunahme der pneumonischen Infiltrate bei bekannter COVID-19-Pneumonie. | P P
Ohne Nachweis von Infiltraten. | N -
Impfung gegen COVID-19 erfolgt. | - -
Corona-Abstrich negativ. Lobärpneumonie rechts. | P -
Organisierende Pneumonie. | - -
Tumorinfiltration der Thoraxwand. | - -
Kardiomegalie, Stauung. | - -
Im Vergleich zur Voruntersuchung rückläufige Infiltrate. | P -
Kein Nachweis von frischen
oder älteren Infiltraten. Keine Zeichen einer
Pneumonie. | N -
Kein Infiltrat, keine Stauung; jedoch Pneumonie links. | P -
Verdacht auf Pneumonie hat sich nicht bestätigt. | N -
Ausgedehnte COVID-Pneumonie mit Crazy Paving. | P P
Pneumonie: keine. | N -
Kein sicherer Anhalt für Pneumonie. | N -
Nach COVID-Infektion keine Residuen. | - -
"""

FRENCH = """
Pas de pneumopathie. | N -
Absence de foyer infectieux. | N -
Sans argument pour une pneumopathie infectieuse. | N -
Pas d'argument en faveur d'une pneumopathie à COVID-19. | - N
Aspect évocateur d'une pneumopathie à COVID-19. | P P
Plages de verre dépoli bilatérales typiques d'une atteinte COVID-19. | - P
Pneumopathie du lobe inférieur droit. | P -
Pneumopathie basale gauche inchangée. | P -
Pas de modification de la pneumopathie connue. | P -
Absence d'amélioration de la pneumopathie bilatérale. | P -
Sans changement notable du foyer infectieux. | P -
Disparition complète de la pneumopathie. | N -
Une pneumopathie ne peut être exclue. | U -
Suspicion de pneumopathie. | U -
Possible pneumonie débutante. | U -
Aspect compatible avec une infection à COVID-19. | - U
Antécédent de pneumopathie à COVID-19. | - -
Séquelles de COVID-19. | - -
Ni épanchement ni pneumopathie. | N -
Pas d'épanchement, de pneumothorax ou de pneumopathie. | N -
Pas d'épanchement, mais pneumopathie lobaire moyenne. | P -
Pneumopathie sans épanchement pleural. | P -
Indication : recherche de pneumopathie. Résultat : poumons clairs. Conclusion : normal. | - -
Renseignements cliniques : suspicion de COVID-19.
Résultats : pas de condensation, pas de pneumopathie.
Conclusion : pas d'argument pour une atteinte COVID-19. | N N
Aspect non évocateur de COVID-19. | - N
COVID-19 peu probable. | - N
La pneumopathie n'est pas visible. | N -
Aucun signe de pneumonie. | N -
Aucune image suspecte de pneumopathie. | N -
Pas de signe en faveur d'une infection à COVID-19. | - N
CO-RADS 5. | - P
Pneumopathie, probablement virale. | P -
Foyer de condensation versus pneumopathie. | U -
Pneumopathie à discuter. | U -
Bronchopneumopathie chronique obstructive. | - -
Pneumopathie interstitielle diffuse fibrosante. | - -
Vaccination contre la COVID-19. | - -
PCR COVID négative. Pneumonie franche lobaire aiguë. | P -
Non seulement une atélectasie, mais une pneumopathie du lobe inférieur. | P -
Pneumopathie exclue. | N -
Pas de suspicion de COVID-19. | - N
Pneumonie ? | U -
Cardiomégalie modérée. | - -
Épanchement pleural. Il existe une pneumopathie du lobe supérieur gauche. | P -
Pas d'épanchement ; pneumopathie droite. | P -
Absence de lésion évocatrice de pneumopathie. | N -
Pneumopathie ancienne. | - -
Sans pouvoir éliminer une pneumopathie. | U -
Régression de la pneumopathie à COVID-19. | P P
Pas de foyer de
pneumopathie. | N -
"""

LETTERS = {"P": "positive", "N": "negative", "U": "uncertain", "-": "nothing"}


def samples(text: str) -> list[tuple[str, str, str]]:
    """Give each text, with what it says of pneumonia and of COVID-19."""
    found, lines = list[tuple[str, str, str]](), list[str]()
    for line in text.strip().split("\n"):
        words, bar, said = line.rpartition(" | ")
        lines.append(words if bar else line)
        if bar:
            pneumonia, covid = said.split()
            found.append(("\n".join(lines), LETTERS[pneumonia], LETTERS[covid]))
            lines = []
    return found
