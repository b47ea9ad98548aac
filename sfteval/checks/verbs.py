"""English verbs by word list and endings: enough to say whether an answer begins with one.

Comes in: a word. Goes out: whether it is a verb in a form that can begin a sentence. The published IFBench checker asks
NLTK's averaged perceptron tagger, whose weights no package index carries; the two agree where the tagger is right, and
the tagger reads many capitalised imperatives ("Build", "Understand") as names.
"""

from __future__ import annotations

_BASE = """
accept achieve acknowledge acquire act adapt add address adjust admit adopt advise agree aim allow alter
analyse analyze announce answer anticipate apologise apologize appear apply appreciate approach approve argue
arise arrange arrive ascertain ask assemble assert assess assign assist assume attach attempt attend attract
avoid awake bake balance be bear beat become beg begin behold believe belong bend bet beware bind bite blend
blow boil borrow break breathe bring broadcast browse build burn buy calculate call calm capture care carry
cast catch cause celebrate change charge chart check choose cite claim clarify classify clean clear click
climb close collaborate collect combine come commit communicate compare compete compile complete compose
comprehend compute conceive concentrate conclude conduct configure confirm connect consider consist construct
consult consume contact contain contemplate continue contribute control convert convey convince cook copy
correct count cover craft create cultivate cut dance deal decide declare decline decorate decrease dedicate
deduce define delegate delete deliver delve demand demonstrate deny depend deploy derive describe deserve
design detail detect determine develop devise diagnose dig diminish direct disable discard disclose discover
discuss display distinguish distribute dive divide do document double download draft drag draw dream dress
drink drive drop earn ease eat edit educate elaborate eliminate embark embrace emerge emphasise emphasize
employ empower enable encounter encourage end endure engage enhance enjoy ensure enter envision equip escape
establish estimate evaluate examine exchange execute exercise exist expand expect experience experiment
explain explore express extend extract face facilitate fail fall familiarise familiarize feed feel fetch fight
figure fill filter find finish fit fix fly focus fold follow forget forgive form formulate foster freeze gain
gather gauge generate get give glance go grab grant grasp greet grind grow guarantee guess guide handle hang
happen harness have hear help hide highlight hire hit hold honor honour hope host hunt hurry identify ignore
illuminate illustrate imagine immerse implement imply import improve incorporate increase indicate infer
inform initiate innovate insert inspect inspire install integrate interpret introduce invent invest
investigate invite involve iterate jog join journey judge jump justify keep kick knit know label lack launch
lay lead lean leap learn leave lend let leverage lie lift light limit link list listen live load locate log
look lose love maintain make manage map mark master match maximise maximize mean measure meet melt mention
merge minimise minimize mix model modify monitor motivate mount move multiply name narrate navigate need
negotiate nominate note notice notify nurture obey observe obtain occur offer open operate optimise optimize
order organise organize outline overcome owe own pack paint participate pass pause pay perceive perform permit
persist persuade pick picture place plan plant play plot point ponder post pour practice practise praise pray
predict prefer prepare present preserve press pretend prevent print prioritise prioritize proceed process
produce program promise promote propose protect prove provide publish pull purchase pursue push put quit quote
raise rank reach react read realise realize recall receive recite reckon recognise recognize recommend
reconsider record recover reduce refer refine reflect refrain refuse regard register regret regulate reject
rejoice relate relax release rely remain remember remind remove rename repair repeat replace reply report
represent request require rescue research reserve resist resolve respect respond rest restore retain retrieve
return reveal review revise ride ring rise roll rotate run sail save say scan schedule score scrape scroll
search secure see seek seem select sell send separate serve set settle sew shake shape share shift shine shoot
show shut sign simplify simulate sing sink sit sketch skip sleep slide slow smell smile solve sort speak
specify spend spin split spread stand start state stay steal stick stir stop store strengthen stretch strike
strive structure struggle study subject submit substitute subtract succeed suffer suggest sum summarise
summarize supply support suppose surround survive swap swim switch take talk taste teach tell tend test thank
think throw tie touch trace track trade train transcend transform translate travel treat trust try tuck turn
type uncover undergo understand undertake unleash unlock unveil update upgrade upload use utilise utilize
validate value vary venture verify view visit visualise visualize vote wait wake walk want warm warn wash
waste watch wear weave welcome whip whir whirr whisper win wipe wish witness wonder work worry wrap write
yield
"""
BASE = frozenset(_BASE.split())
_OTHER_FORMS = """
am is are was were being been has had does did done can could will would shall should may might must ought
began begun broke broken brought built came chose chosen drew drawn drove driven fell felt found gave given
gone went got gotten grew grown held heard kept knew known led left lost made meant met paid ran rose risen
said sat saw seen sent shown spent spoke spoken stood struck taken took taught thought threw thrown told
understood woke wore worn won written wrote
"""
OTHER_FORMS = frozenset(_OTHER_FORMS.split())


def is_verb(word: str) -> bool:
    """Return whether the word is a form of a listed verb; case is ignored."""
    lower = word.lower()
    return lower in BASE or lower in OTHER_FORMS or any(stem in BASE for stem in _stems(lower))


def _stems(word: str) -> list[str]:
    """Return what a verb could be before its ending: s, ed or ing, with e, y and doubled letters put right."""
    stems = [word[:-1]] if word.endswith("s") else []
    stems += [word[:-2]] if word.endswith("es") else []
    stems += [f"{word[:-3]}y"] if word.endswith(("ies", "ied")) else []
    for ending in ("ed", "ing"):
        cut = word.removesuffix(ending)
        if cut != word and len(cut) > 1:
            stems += [cut, f"{cut}e", *([cut[:-1]] if cut[-1] == cut[-2] else [])]
    return stems
