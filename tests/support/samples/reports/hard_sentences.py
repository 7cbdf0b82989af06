"""Sentences that rules easily read as their opposite, made up: what each says, as in `sentences`.

Where rules do not surely understand one, they are to say uncertain or nothing, never the opposite.
"""

from __future__ import annotations

HEDGED_EXCLUSION = """
COVID-19 cannot be definitively excluded. | - U
COVID-19 cannot be definitely excluded. | - U
COVID-19 has not been excluded. | - U
Cannot definitively exclude COVID-19. | - U
Early COVID-19 cannot be confidently ruled out on this study. | - U
COVID-19 cannot, with certainty, be excluded. | - U
The exclusion of COVID-19 is not possible with this technique. | - U
We are unable to exclude a viral pneumonia. | U -
CT has not ruled out COVID-19 pneumonia. | - U
A superimposed pneumonia is difficult to exclude. | U -
Limited study, pneumonia is not safely excluded. | U -
It is impossible to rule COVID-19 out. | - U
The present images fail to exclude COVID-19. | - U
Absence of opacities does not rule out early COVID-19. | - U
That there is no pneumonia cannot be said. | U -
COVID-19 was never really excluded. | - U
Eine COVID-19-Pneumonie ist nicht mit letzter Sicherheit auszuschließen. | - U
Eine COVID-19-Pneumonie kann nicht mit letzter Sicherheit ausgeschlossen werden. | - U
COVID-19 ist derzeit nicht ausgeschlossen. | - U
Ein Ausschluss einer COVID-19-Pneumonie ist nicht möglich. | - U
Kein sicherer Ausschluss einer Pneumonie. | U -
Eine Pneumonie lässt sich anhand der Bilder nicht hinreichend sicher ausschließen. | U -
Die COVID-19-Pneumonie wurde bisher nicht zweifelsfrei ausgeschlossen. | - U
Eine beginnende Pneumonie ist schwer auszuschließen. | U -
Ein Infiltrat ist nur eingeschränkt auszuschließen. | U -
Ohne Verlaufskontrolle ist COVID-19 nicht auszuschließen. | - U
COVID-19 ist damit keineswegs ausgeschlossen. | - U
Das fehlende Milchglas schließt COVID-19 nicht aus. | - U
Ein kleines Infiltrat kann, auch bei gutem Bild, nicht ausgeschlossen werden. | U -
Une pneumopathie à COVID-19 ne peut être complètement exclue. | - U
La pneumopathie n'est pas totalement éliminée. | U -
On ne peut pas exclure avec certitude une pneumopathie. | U -
Il est difficile d'éliminer une pneumopathie débutante. | U -
Sans qu'on puisse formellement écarter une pneumopathie. | U -
Une atteinte COVID-19 n'est à ce stade pas exclue. | - U
Le scanner n'élimine pas une COVID-19. | - U
La COVID-19 n'a jamais été formellement éliminée. | - U
Une pneumopathie ne saurait, sur ces seules images, être exclue. | U -
Pneumopathie non éliminée. | U -
Aucun argument ne permet d'exclure une pneumopathie. | U -
"""

NOT_WORSE = """
COVID-19 pneumonia has not worsened. | P P
COVID-19 pneumonia is not improving. | P P
COVID-19 pneumonia is not resolving. | P P
No complication of the known COVID-19 pneumonia. | P P
No pulmonary embolism in the known COVID-19 pneumonia. | P P
The known COVID-19 pneumonia is no worse. | P P
The infiltrates are not any smaller. | P -
The pneumonia has not yet gone away. | P -
There is no deterioration of COVID-19 pneumonia. | P P
No abscess within the pneumonia. | P -
No cavitation complicating the pneumonia. | P -
No better aeration of the pneumonia. | P -
No new lesion besides the pneumonia. | P -
Pneumonia that does not appear to be spreading. | P -
The infiltrates have not cleared entirely. | P -
No response of the pneumonia to treatment. | P -
Keine Verschlechterung der bekannten COVID-19-Pneumonie. | P P
Keine Befundverschlechterung der bekannten COVID-19-Pneumonie. | P P
Die COVID-19-Pneumonie hat sich nicht gebessert. | P P
Die COVID-19-Pneumonie hat sich nicht verschlechtert. | P P
Die Pneumonie ist nicht signifikant verändert. | P -
Keine Komplikation der COVID-19-Pneumonie. | P P
Keine Lungenembolie im Rahmen der COVID-19-Pneumonie. | P P
Kein Abszess innerhalb der Pneumonie. | P -
Die Infiltrate sind nicht mehr geworden. | P -
Die Pneumonie ist noch nicht abgeheilt. | P -
Keine neuen Herde neben der COVID-19-Pneumonie. | P P
Keine Einschmelzung der Pneumonie. | P -
Die Pneumonie spricht nicht auf die Therapie an. | P -
La pneumopathie n'a pas encore disparu. | P -
La pneumopathie ne s'est pas aggravée. | P -
Pas d'aggravation de la pneumopathie à COVID-19. | P P
Pas de complication de la pneumopathie. | P -
Pas d'embolie pulmonaire dans la pneumopathie à COVID-19 connue. | P P
La pneumopathie ne semble pas guérie. | P -
La pneumopathie n'est pas plus étendue. | P -
Pas d'abcès au sein de la pneumopathie. | P -
Aucune excavation de la pneumopathie. | P -
La pneumopathie ne répond pas au traitement. | P -
Les lésions de pneumopathie n'ont pas regressé. | P -
Pas de nouvelle lésion avec la pneumopathie. | P -
"""

TECHNIQUE_BEFORE = """
CT chest without contrast: COVID-19 pneumonia. | P P
CT without contrast shows typical COVID-19 pneumonia. | P P
CT without intravenous contrast demonstrates COVID-19. | - P
No prior study: pneumonia of the right lung. | P -
Unenhanced CT, no contrast given, COVID-19 pneumonia. | P P
CT without comparison reveals pneumonia. | P -
Not enhanced: COVID-19. | - P
CT with no artefacts shows pneumonia. | P -
Examination without sedation: pneumonia. | P -
No contrast medium. COVID-19 pneumonia. | P P
Without breath hold, COVID-19 pneumonia is visible. | P P
Low dose CT without contrast agent – COVID-19 pneumonia. | P P
CT Thorax ohne Kontrastmittel: Bild einer COVID-19-Pneumonie. | P P
CT Thorax ohne KM: Bild einer COVID-19-Pneumonie. | P P
CT nativ ohne i.v. Kontrastmittel zeigt eine Pneumonie. | P -
Keine Voraufnahmen: Pneumonie rechts. | P -
Untersuchung ohne Komplikationen: Pneumonie links. | P -
Ohne Vergleichsaufnahme zeigt sich eine COVID-19-Pneumonie. | P P
Nicht kontrastiert: Pneumonie. | P -
CT ohne KM-Gabe, COVID-19-Pneumonie beidseits. | P P
Kein KM. COVID-19-Pneumonie. | P P
Ohne Atemanhalt: Infiltrate beidseits. | P -
CT ohne Artefakte mit Pneumonie links. | P -
Keine Voruntersuchung, ausgedehnte Pneumonie in beiden Unterlappen. | P -
Scanner non injecté : pneumopathie à COVID-19. | P P
Scanner sans injection : pneumopathie. | P -
Scanner sans injection montrant une pneumopathie à COVID-19. | P P
Pas de comparaison : pneumopathie droite. | P -
Sans contraste, pneumopathie bilatérale étendue. | P -
Scanner sans produit de contraste retrouvant une COVID-19. | - P
Examen non comparatif : pneumopathie. | P -
Acquisition sans apnée : pneumopathie gauche. | P -
Pas d'injection. Pneumopathie à COVID-19. | P P
Aucun antérieur disponible : pneumopathie. | P -
Scanner sans complication, pneumopathie étendue des deux bases. | P -
"""

LISTS = """
No pleural effusion, typical COVID-19 pneumonia in the middle or lower lobes. | P P
No effusion, bilateral pneumonia. | P -
No effusion, extensive pneumonia of upper or middle lobe. | P -
No nodules, no effusion, COVID-19 pneumonia. | P P
No effusion and bilateral pneumonia. | P -
Without effusion or adenopathy, bilateral pneumonia of both lower lobes. | P -
No mass, effusion, bilateral pneumonia in all lobes. | P -
No embolism, but pneumonia of left or right base. | P -
No thrombus, pneumonia either viral or bacterial. | P -
No fracture, COVID-19 pneumonia, moderate or severe. | P P
Neither mass nor effusion, COVID-19 pneumonia. | P P
Pneumonia in the right lower lobe and lingula is not seen. | N -
Pneumonia, previously described, is not visible. | N -
Kein Pleuraerguss, bipulmonale COVID-19-Pneumonie in Ober- sowie Unterlappen. | P P
Kein Erguss, Pneumonie rechts. | P -
Kein Erguss und Pneumonie rechts. | P -
Kein Erguss, Pneumonie im Ober- oder Mittellappen. | P -
Keine Stauung, kein Erguss, COVID-19-Pneumonie. | P P
Ohne Erguss oder Stauung, Pneumonie beider Unterlappen. | P -
Weder Erguss noch Stauung, ausgedehnte Pneumonie links. | P -
Kein Rundherd, Pneumonie viral oder bakteriell. | P -
Kein Tumor, beidseits Infiltrate, mäßig oder stark. | P -
Keine Embolie, jedoch Pneumonie links oder rechts. | P -
Kein Pneumothorax, Erguss rechts, COVID-19-Pneumonie beidseits. | P P
Pneumonie, wie zuvor beschrieben, nicht abgrenzbar. | N -
Pas d'épanchement, pneumopathie du lobe moyen ou inférieur. | P -
Pas d'épanchement, pneumopathie bilatérale. | P -
Pas d'épanchement et pneumopathie bilatérale. | P -
Pas de nodule, pas d'épanchement, pneumopathie. | P -
Sans épanchement ni nodule, pneumopathie des deux bases. | P -
Ni épanchement ni nodule, pneumopathie à COVID-19 étendue. | P P
Pas de masse, pneumopathie virale ou bactérienne. | P -
Pas d'embolie, mais pneumopathie droite ou gauche. | P -
Pas de nodule, COVID-19 modérée ou sévère. | - P
Aucun nodule, épanchement droit, pneumopathie gauche étendue. | P -
Pas de lésion osseuse, pneumopathie. | P -
"""

ABBREVIATED = """
No sig. infiltrate. | N -
No susp. COVID-19. | - N
Susp. COVID-19. | - U
Hx COVID-19. | - -
No evid. of pneumonia. | N -
No rad. signs. of pneumonia. | N -
No typ. COVID-19 pattern. | - N
Poss. pneumonia. | U -
No acute infl. infiltrate. | N -
No bilat.
infiltrates. | N -
No typical
COVID-19 pneumonia. | N N
no effusion. pneumonia in the lingula. | P -
No effusion
Pneumonia of the left lower lobe | P -
No fluid collection in the pleural space of both sides
COVID-19 pneumonia of both lungs | P P
Keine pulm. Infiltrate. | N -
Kein entzündl. Infiltrat. | N -
Kein Anhalt f. COVID-19-Pneumonie. | - N
Kein Hinw. auf COVID-19. | - N
Z.A. COVID-19. | - -
Kein Nachweis typischer
COVID-19-Infiltrate. | N N
Keinerlei Infiltrate. | N -
Ausschluss COVID-19-Pneumonie. | - N
Ausschluss Pneumonie. | N -
Keine frisch. Infiltrate. | N -
Keine Zeichen e. viralen Pneumonie. | N -
Kein Erguss bds. Pneumonie links. | P -
Pneumonie re. nicht abgrenzbar. | N -
Pneumonie n. nachweisbar. | N -
Kein path. Befund
Pneumonie im linken Unterlappen | P -
Infiltrate bds. nicht nachweisbar. | N -
Pas d'arg. en faveur d'une pneumopathie. | N -
Pas de path. infectieuse ni pneumopathie. | N -
Pas de pneum. COVID-19. | - N
Absence de foy. de pneumopathie. | N -
Pas de signe évident
de pneumopathie. | N -
Pas de lésion
Pneumopathie gauche | P -
ATCD. COVID-19. | - -
Pas d'aspect évoc. de COVID-19. | - N
Aucun sig. de pneumopathie. | N -
pas d'épanchement. pneumopathie gauche. | P -
Susp. pneumopathie. | U -
"""

AGAINST = """
Findings argue against COVID-19. | - N
Nothing indicating COVID-19. | - N
Probably no pneumonia. | U -
No pneumonia? | U -
Hardly any infiltrates. | U -
Die Befunde sprechen gegen COVID-19. | - N
Wahrscheinlich keine Pneumonie. | U -
Kaum Infiltrate. | U -
Keine Pneumonie? | U -
Mit COVID-19 nicht vereinbar. | - N
Aspect en défaveur d'une COVID-19. | - N
Probablement pas de pneumopathie. | U -
Plus de pneumopathie visible. | N -
Rien qui évoque une pneumopathie. | N -
Pas de pneumopathie ? | U -
"""

HEADED = """
Klinische Information: COVID-19-Pneumonie. Befund: Unauffällig. Beurteilung: Kein Infiltrat. | N -
Klinische Informationen: COVID-19. Befund: Kein Infiltrat. | N -
Klinische Angaben / Fragestellung: COVID-19-Pneumonie. Befund: Kein Infiltrat. | N -
Klinische Angaben und Fragestellung: COVID-19. Befund: Kein Infiltrat. | N -
Anamnese/Indikation: COVID-19. Befund: Kein Infiltrat. | N -
Diagnose: COVID-19. Befund: Kein Infiltrat. Beurteilung: Normal. | N -
Zuweisungsdiagnose: COVID-19. Befund: Kein Infiltrat. | N -
Klinische Diagnose: COVID-19. Befund: Normal. | - -
Indikation, Fragestellung: Pneumonie. Befund: Normal. | - -
Überweisung: COVID-19. Befund: Normale Lunge. | - -
Familienanamnese: COVID-19. Befund: Normale Lunge. | - -
Indication / History: COVID-19 pneumonia. Findings: No infiltrate. | N -
Clinical history and indication: COVID-19. Findings: No infiltrate. | N -
PMH: COVID-19. Findings: No infiltrate. | N -
Clinical notes: COVID-19 pneumonia. Findings: Normal. | - -
Reason for exam: COVID-19. Findings: Normal. | - -
Referral: COVID-19. Findings: Normal lungs. | - -
Diagnosis: COVID-19. Findings: Normal lungs. | - -
Past medical history: pneumonia. Findings: Normal lungs. | - -
Indication, technique: COVID-19. Findings: Normal lungs. | - -
History & indication: COVID-19. Impression: No infiltrate. | N -
Indication clinique : COVID-19. Résultat : pas de pneumopathie. | N -
Contexte et indication : pneumopathie à COVID-19. Résultat : normal. | - -
Antécédents : COVID-19. Résultats : normal. | - -
Motif / Indication : COVID-19. Résultats : normal. | - -
Renseignement clinique : COVID-19. Résultats : normal. | - -
Adressé pour : COVID-19. Résultats : normal. | - -
Indication, technique : COVID-19. Résultats : normal. | - -
Informations cliniques : COVID-19. Résultats : normal. | - -
Histoire de la maladie : COVID-19. Conclusion : normal. | - -
Données cliniques : COVID-19. Conclusion : normal. | - -
CO-RADS 2 (previously CO-RADS 5). | - N
Legend: CO-RADS 1 very low ... CO-RADS 5 very high. | - U
"""

MIXED = """
Ground-glass opacities in keeping with COVID-19 pneumonia, without pleural effusion. | P P
No pulmonary embolism. Extensive bilateral COVID-19 pneumonia. | P P
Lungs are clear with no evidence of pneumonia. | N -
No radiographic evidence of active COVID-19 infection. | - N
There is no convincing evidence for COVID-19 pneumonia. | - N
No consolidation to suggest pneumonia. | N -
Heart size is normal. No pneumonia or pleural effusion is seen. | N -
COVID-19 pneumonia, moderate severity. No pulmonary embolism, no effusion. | P P
Patchy opacities; COVID-19 could not be ruled out with certainty. | - U
Without improvement of the COVID-19 infiltrates. | P P
COVID-19 pneumonia not significantly different from before. | P P
There is pneumonia, no abscess. | P -
Not pneumonia but oedema. | N -
I do not believe this is pneumonia. | N -
I do not believe pneumonia can be ruled out. | U -
No reason to doubt COVID-19 pneumonia. | P P
Never had COVID-19. | - N
Findings do not favour COVID-19. | - N
No imaging features to support COVID-19. | - N
It would be wrong to say there is no pneumonia. | P -
CT negative. COVID-19 pneumonia excluded. | - N
The absence of pneumonia is not established. | U -
Infiltrates persist. | P -
Resolved infiltrates. | N -
Keine Pneumonie, kein Erguss. | N -
Unauffällige Lunge ohne Nachweis einer Pneumonie. | N -
Typisches Bild einer COVID-19-Pneumonie ohne Pleuraerguss. | P P
Kein CT-morphologischer Hinweis auf COVID-19. | - N
Beidseits Infiltrate, kein Erguss. | P -
COVID-19-Pneumonie, CO-RADS 5. Keine Lungenembolie. | P P
Die Infiltrate haben sich nicht zurückgebildet. | P -
Von einer Pneumonie ist nicht auszugehen. | N -
Eine Pneumonie ist nicht unwahrscheinlich. | U -
Gegen eine COVID-19-Pneumonie spricht das Verteilungsmuster. | - N
Nicht vereinbar mit einer COVID-19-Pneumonie. | - N
Es besteht kein Zweifel an einer COVID-19-Pneumonie. | P P
Lungenarterienembolie ausgeschlossen. COVID-19-Pneumonie beidseits. | P P
Lungenembolie ausgeschlossen, kein Infiltrat. | N -
Kein Infiltrat abgrenzbar. | N -
Infiltrate sind nicht nachweisbar. | N -
Eine Pneumonie kann man nicht verneinen. | P -
Pas de pneumopathie visible. | N -
Absence de pneumopathie évolutive. | N -
Pneumopathie à COVID-19 étendue, sans embolie pulmonaire. | P P
Poumons clairs, sans foyer infectieux. | N -
Pas d'embolie pulmonaire. Pneumopathie à COVID-19. | P P
Il n'existe pas d'argument pour une COVID-19. | - N
Il n'y a pas lieu d'écarter une COVID-19. | - U
La pneumopathie n'est pas résolue. | P -
Pneumopathie sans évolution. | P -
Aspect non compatible avec une COVID-19. | - N
On ne retrouve pas de pneumopathie. | N -
Pas de doute sur la pneumopathie à COVID-19. | P P
"""

SOMETHING_ELSE = """
Lungs: free of pneumonia or mass. | N -
Interval development of COVID-19 pneumonia, none seen previously. | P P
Pneumonia without cavitation is not excluded. | U -
Pneumonia cannot be considered resolved. | P -
There are no longer any signs of COVID-19. | - N
I see nothing of the earlier pneumonia. | N -
COVID-19 pneumonia, with no signs of superinfection. | P P
COVID-19 pneumonia. No signs of superinfection. | P P
COVID-19 pneumonia, not fully resolved. | P P
COVID-19 pneumonia of both lungs, no effusion. | P P
Bilateral pneumonia with absent effusion. | P -
Pneumonia; effusion absent. | P -
Pneumonia with negative PCR. | P -
COVID-19 pneumonia in a vaccinated patient, PCR negative. | P P
COVID-19 pneumonia: no improvement. | P P
COVID-19 pneumonia: none. | - N
COVID-19 pneumonia: not present. | - N
Pneumonia: yes. Effusion: no. | P -
COVID-19 pneumonia: yes, effusion: no | P P
Pneumonia, no | N -
Infiltrates have not completely disappeared. | P -
Pneumonia is absent. | N -
COVID-19 pneumonia less likely than influenza. | - U
Pneumonia and no effusion. | P -
The effusion has resolved, the pneumonia has not. | P -
Effusion resolved, COVID-19 pneumonia persists. | P P
Pneumonia persists, effusion resolved. | P -
Pneumonia, effusion resolved. | P -
COVID-19-Pneumonie, kein Erguss. | P P
COVID-19-Pneumonie ohne Superinfektion. | P P
COVID-19-Pneumonie mit fehlendem Erguss. | P P
Pneumonie bei negativem PCR-Test. | P -
Pneumonie: ja. Erguss: nein. | P -
Pneumonie nicht vollständig abgeheilt. | P -
Erguss vollständig regredient, Pneumonie unverändert. | P -
Pneumonie unverändert, Erguss vollständig regredient. | P -
Pneumonie rechts, links keine. | P -
Pneumonie rechts, Pleuraerguss nicht nachweisbar. | P -
Ausgedehnte COVID-19-Pneumonie, eine Lungenembolie ist ausgeschlossen. | P P
COVID-19-Pneumonie, Lungenembolie unwahrscheinlich. | P P
COVID-19-Pneumonie mit ausgeschlossener Lungenembolie. | P P
Infiltrate haben vollständig abgenommen, nicht jedoch links. | P -
Keine Lungenembolie. Bild wie bei COVID-19. | - P
Pneumopathie à COVID-19, absence d'embolie. | P P
Pneumopathie avec absence d'épanchement. | P -
Pneumopathie droite, épanchement exclu. | P -
Pneumopathie, épanchement résolu. | P -
Pneumopathie à COVID-19, embolie peu probable. | P P
Pneumopathie : non. | N -
Pneumopathie : oui. Épanchement : non. | P -
Pneumopathie à PCR négative. | P -
Pneumopathie non compliquée. | P -
Pneumopathie non résolutive. | P -
Absence d'épanchement associé à la pneumopathie. | P -
No effusion associated with pneumonia. | P -
Kein begleitender Erguss zur Pneumonie rechts. | P -
Keine Lungenembolie als Ursache, COVID-19-Pneumonie beidseits. | P P
"""

ANOTHER_TIME = """
The lungs show neither consolidation nor signs of COVID-19. | - N
Absence of any infiltrate. | N -
The previously described infiltrates are no longer visible. | N -
New infiltrates since the last study, not present before. | P -
Infiltrates not present on the prior study. | P -
COVID-19 pneumonia not seen on the previous CT. | P P
Pneumonia, not previously present. | P -
No pneumonia was present in March; today extensive COVID-19 pneumonia. | P P
Consolidation, not typical of COVID-19. | - N
Unchanged absence of pneumonia. | N -
Not a single infiltrate. | N -
The patient does not have COVID-19. | - N
No COVID-19 pneumonia on the left, extensive COVID-19 pneumonia on the right. | P P
Pneumonia right, none left. | P -
CT excludes COVID-19 pneumonia. | - N
Nodule not COVID-19 related. | - N
Less pneumonia than before. | P -
No less pneumonia than before. | P -
No significant residual pneumonia. | N -
Zum Vorbefund neu aufgetretene Infiltrate, vorher nicht sichtbar. | P -
Infiltrate, in der Voruntersuchung nicht vorhanden. | P -
In der Voruntersuchung nicht vorhandene Infiltrate rechts. | P -
Keine Pneumonie links, ausgedehnte Pneumonie rechts. | P -
Pneumonie, die vorher nicht bestand. | P -
Nicht zu übersehende Pneumonie. | P -
Ohne jeden Zweifel COVID-19-Pneumonie. | P P
Keine andere Erklärung als COVID-19. | - P
Lunge ohne Infiltrate. | N -
Infiltratfreie Lunge. | - -
Kein Infiltrat im Sinne einer Pneumonie. | N -
Keine Besserung, weiterhin COVID-19-Pneumonie. | P P
Pas d'autre diagnostic que COVID-19. | - P
Foyer infectieux non visible auparavant. | P -
Pneumopathie, absente sur le scanner antérieur. | P -
Pas de pneumopathie à gauche, pneumopathie étendue à droite. | P -
Pneumopathie non négligeable. | P -
Poumons indemnes de pneumopathie. | N -
Sans nul doute une COVID-19. | - P
Pneumopathie, pas d'épanchement. | P -
Pneumopathie sans pas d'épanchement visible. | P -
"""

HARD = {
    "hedged exclusion": HEDGED_EXCLUSION,
    "not worse": NOT_WORSE,
    "technique before": TECHNIQUE_BEFORE,
    "lists": LISTS,
    "abbreviated": ABBREVIATED,
    "against": AGAINST,
    "headed": HEADED,
    "mixed": MIXED,
    "something else": SOMETHING_ELSE,
    "another time": ANOTHER_TIME,
}
