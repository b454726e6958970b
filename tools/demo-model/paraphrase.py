"""Other wordings of a question by rule: equal openings and near synonyms.

Owns the rules, which are about English and not about any one question. The wordings by hand stand in qa.toml.
"""

import re

# Of each list every member may stand for every other. {x} is what follows; a member is tried as a pattern in this order.
OPENINGS = [
    ["what is the difference between {x} and {y}", "how do {x} and {y} differ", "compare {x} and {y}", "compare {x} with {y}", "{x} vs {y}",
     "{x} versus {y}", "{x} or {y}", "what differs between {x} and {y}", "how does {x} differ from {y}", "how is {x} different from {y}",
     "differences between {x} and {y}", "difference {x} {y}"],
    ["what does {x} mean", "what is {x}", "what are {x}", "what's {x}", "explain {x}", "define {x}", "describe {x}", "tell me about {x}",
     "what is meant by {x}", "what do you mean by {x}", "explain {x} to me", "give me a definition of {x}", "can you explain {x}",
     "i do not know what {x} is", "the meaning of {x}", "what exactly is {x}", "what do you know about {x}", "what is {x} about",
     "what does {x} do", "what is {x} for", "what is {x} good for", "meaning of {x}", "{x} explained"],
    ["how do i {x}", "how can i {x}", "how to {x}", "how would i {x}", "how should i {x}", "how does one {x}", "i want to {x}", "i need to {x}",
     "i would like to {x}", "what is the way to {x}", "what do i do to {x}", "show me how to {x}", "explain how to {x}", "help me to {x}",
     "what must i do to {x}", "how do we {x}", "how do you {x}", "is there a way to {x}", "steps to {x}", "where can i {x}"],
    ["is {x} supported", "does tollgate support {x}", "does tollgate have {x}", "does tollgate work with {x}", "does tollgate offer {x}",
     "is there support for {x}", "does it support {x}", "will tollgate support {x}", "does {x} work with tollgate", "is {x} available",
     "does tollgate understand {x}", "can tollgate handle {x}"],
    ["can i use {x} with tollgate", "how do i use {x} with tollgate", "use {x} with tollgate", "connect {x} to tollgate",
     "how do i connect {x}", "can i connect {x}", "set up {x}", "how do i set up {x}", "how do i use {x}", "configure {x}"],
    ["is it possible to {x}", "can i {x}", "may i {x}", "could i {x}", "am i able to {x}", "am i allowed to {x}", "is there a way to {x}"],
    ["why do i get {x}", "why does tollgate return {x}", "i got {x}", "i get {x}", "what should i do about {x}", "my client shows {x}"],
    ["why should i {x}", "why do i {x}", "why would i {x}", "why must i {x}", "what is the reason to {x}"],
    ["which {x} can i use", "what {x} are there", "which {x} are there", "list the {x}", "list all {x}", "show me the {x}", "show all {x}",
     "what {x} exist", "which {x} are available", "what {x} are available", "what {x} are supported", "give me a list of {x}", "which {x} does tollgate have"],
    ["what happens when {x}", "what happens if {x}", "what if {x}", "what does tollgate do when {x}", "what does tollgate do if {x}"],
    ["do you {x}", "does the demo model {x}", "does tollgate-demo {x}", "does the built-in model {x}", "does this model {x}"],
    ["can you {x}", "can the demo model {x}", "can tollgate-demo {x}", "are you able to {x}", "could you {x}", "is the demo model able to {x}"],
    ["are you {x}", "is the demo model {x}", "is tollgate-demo {x}", "is the built-in model {x}", "is this model {x}"],
    ["where is {x}", "where do i find {x}", "where can i find {x}", "where can i see {x}", "how do i find {x}", "where are {x}"],
]

SYNONYMS = """
config, configuration, settings
config file, configuration file, tollgate.toml, settings file
demo model, built-in model, tiny model, included model, small model, bundled model
choose, select, pick
change, set, adjust, alter
check, validate, verify, test
machine, computer
documentation, docs, manual
answer, response, reply, output
program, app, application
need, require
required, needed, necessary, mandatory
wrong, incorrect, false
images, pictures, photos
image, picture, photo
terminal, command line, shell, console
environment variables, env vars, variables
folder, directory
reduce, lower, decrease, cut down
send, pass, submit, give
start, launch, run
stop, quit, end, terminate
big, large, huge
purpose, point, aim
happens, occurs
flags, options, arguments, switches
allowed, permitted
error, failure, problem
get, obtain, receive
thanks, thank you, many thanks
make, create, produce
by itself, on its own, automatically
key, api key
model, llm
endpoint, route, url
licence, license
quick, fast
cost, price
example, sample, snippet
work, function
users, people
text, content
write, compose
find, detect, discover
leave, disconnect, go away
each time, every time, always
cut, truncated, cut off
return, give back
""".strip()
WORDS = [[w.strip() for w in line.split(",")] for line in SYNONYMS.splitlines()]


def pattern_of(form):
    return re.compile("^" + re.escape(form).replace(r"\{x\}", "(?P<x>.+?)").replace(r"\{y\}", "(?P<y>.+)") + "$", re.IGNORECASE)


PATTERNS = [[(form, pattern_of(form)) for form in group] for group in OPENINGS]
SYNONYM_PATTERN = {word: re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE) for group in WORDS for word in group}


def reopened(rng, text):
    """The question with another opening, or as it is when no opening fits."""
    body = text.rstrip("?.! ")
    fitting = []
    for group in PATTERNS:
        for form, pattern in group:
            found = pattern.match(body)
            if found:
                fitting.append((group, form, found.groupdict()))
                break
    if not fitting:
        return text
    group, form, parts = rng.choice(fitting)
    other = rng.choice([f for f, _ in group if f != form])
    parts = {name: re.sub(r"^(an?|the) ", "", part, flags=re.IGNORECASE) if rng.random() < 0.5 else part for name, part in parts.items()}
    made = other.format(**parts)
    return made[:1].upper() + made[1:] + ("?" if text.endswith("?") and rng.random() < 0.8 else "")


def with_synonyms(rng, text, chance=0.4):
    for group in WORDS:
        for word in group:
            if SYNONYM_PATTERN[word].search(text):
                if rng.random() < chance:
                    text = SYNONYM_PATTERN[word].sub(rng.choice(group), text, count=1)
                break
    return text


def key_words(rng, text):
    """Only some of the words, as in a search box."""
    words = [w for w in text.rstrip("?.! ").split() if w.lower() not in STOP_WORDS or rng.random() < 0.2]
    kept = [w for w in words if rng.random() < 0.9]
    return " ".join(kept) or text


STOP_WORDS = set("a an the is are do does what how i of to in on my it for can you me with which that this from and by at be should would mean means".split())
