"""The texts on which tokenizers are trained and compared: ten languages, code, emoji and what breaks tokenizers.

Every sentence is written for this file.
"""

LANGUAGES = {
    "english": "The gate opens at seven, and by 7:45 the queue has 1,204 people in it. It's raining; nobody's leaving. "
               "Don't they know we'll close? I'd say they've heard, and they're STILL here.",
    "german": "Die Schleuse öffnet um sieben, und gegen Viertel vor acht warten schon 1.204 Leute davor. Größere Schiffe "
              "müssen draußen bleiben; Fußgänger dürfen über die Brücke gehen.",
    "french": "L'écluse s'ouvre à sept heures ; aujourd'hui, où qu'on regarde, il y a déjà 1 204 personnes. « Ça va ? » "
              "demanda-t-elle, l'œil fixé sur la façade.",
    "spanish": "¿Cuánto cuesta cruzar el puente? ¡Nada, señora! Mañana habrá que pagar dos pesetas, según el cartel del "
               "pingüino.",
    "russian": "Шлюз открывается в семь часов, и без четверти восемь перед ним стоит уже 1204 человека. Ёлка, подъезд, "
               "съёмка — всё на месте.",
    "greek": "Η πύλη ανοίγει στις επτά και στις οκτώ παρά τέταρτο περιμένουν ήδη 1.204 άνθρωποι. Τι ώρα είναι;",
    "chinese": "闸门七点开放，到七点四十五分已经有一千二百零四人排队。天在下雨，没有人离开。",
    "japanese": "門は七時に開き、七時四十五分にはもう千二百四人が並んでいる。ｶﾀｶﾅとカタカナ、ひらがな。",
    "korean": "문은 일곱 시에 열리고 일곱 시 사십오 분이면 벌써 천이백네 명이 줄을 선다.",
    "hindi": "फाटक सात बजे खुलता है और पौने आठ बजे तक १२०४ लोग कतार में होते हैं। नमस्ते, क्या हाल है?",
    "arabic": "يفتح الباب في السابعة، وفي الثامنة إلا ربعًا يقف أمامه ١٢٠٤ أشخاص. هل تَعْرِفُ السَّبَب؟",
    "thai": "ประตูเปิดตอนเจ็ดโมง และตอนเจ็ดโมงสี่สิบห้ามีคนต่อแถวแล้ว ๑๒๐๔ คน",
}

CODE = [
    "fn main() {\n    let total: u64 = (1..=10).map(|n| n * n).sum();\n\tprintln!(\"{total}\"); // 385\n}\n",
    "def f(x, *, y=None):\n    return {\"a\": [x, -1.5e-3, 0xFF], 'b': y or \"\"}\n\n\nclass A(B):\n    pass\n",
    "SELECT id, count(*) FROM calls WHERE cost > 0.25 AND model LIKE '%mini%' GROUP BY id;",
    "<div class=\"x\">&nbsp;<!-- no --></div>\r\n<script>a?.b ?? c !== d && !e</script>\r\n",
    "$ curl -sS https://example.com/v1/models?limit=20 | jq '.data[].id' > /dev/null 2>&1",
    "{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Zürich\",\"days\":[1,2,3]}}",
]

ODD = [
    "",
    " ",
    "  ",
    "\n",
    "\n\n\n",
    " \n \n ",
    "\t\t x\t",
    "a  b   c    d     e",
    "trailing   ",
    "   leading",
    "\r\n\r\n x \r y",
    "x\u00a0y\u2003z\u3000w\u200bv\ufeffu",
    "1 12 123 1234 12345 1234567890 3.14159 1,000,000 ½ ² Ⅷ ٣٤ ४२",
    "'s 'S 't'll 'LL I'VE we'Re 'tis '' ' s' it'ſ",
    "...!!!???---===###///\n/// //\n\n[[[]]]((()))<<>>",
    "🙂 🙂🙂 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷🇯🇵 ❤️ ☃ 1️⃣ #️⃣",
    "e\u0301 o\u0308\u0323 n\u0303 a\u0300\u0301\u0302\u0303 \u0301x é ö ñ Å",
    "Z̸̢a̵͠l̷g̶o̵ ᾳ ῼ ǅ ŉ ﬁ ﬀ İ ı ß ẞ Ⓐ ª º",
    "FooBarBAZquxÉcoleÜBERstraße camelCaseXMLHttpRequest iPhone McDonald",
    # Without ▁: SentencePiece and the files of WordPiece use it as a mark, and cannot tell it from text.
    "Ġ Ċ ĉ Ġa ##b",
    "<|endoftext|> <|im_end|> <s> </s> <unk> [CLS] [SEP] <0x0A> <0xFF> <tool_call> <|eot_id|>",
    "<s><s> s> <s </ s>",
    "\x00 \x01 \x07 \x1b[0m \x7f \u0085 \ufffd \ue000 \U0010ffff",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 𐍈 𓀀 𠮷野家 㐀 豈 \U0002f800",
    "a" * 300,
    "ab" * 150 + " " * 70 + "é" * 60,
    "https://example.com/a_b-c/%20?q=1&r=%C3%A9#frag user.name+tag@example.co.uk",
    "قال: \"مرحبا\"؛ ثم ذهب… «نعم» — לא, שָׁלוֹם!",
    "mixed中文and日本語with한국어и русский١٢٣",
    "thinking <think>\nstep 1\n</think>\n\nanswer <tool_response>x</tool_response>",
]


def training():
    """Some repetition, so that merges of several steps appear."""
    texts = [*LANGUAGES.values(), *CODE, *ODD]
    return texts + [f"{a} {b}" for a in LANGUAGES.values() for b in CODE[:3]]


def compared():
    return [*LANGUAGES.values(), *CODE, *ODD]
