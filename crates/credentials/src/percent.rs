//! Percent-encoding as RFC 3986 has it: everything but the unreserved characters, in upper-case hex.
//! Signatures depend on every byte of it, which is why it stands here and not behind a general crate.

/// Appends `bytes`, encoded.
pub(crate) fn encode_into(out: &mut String, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Decodes one name or value of a query, where `+` is a space. What is no escape stands for itself.
pub(crate) fn decode_query(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = match (bytes[at], bytes.get(at + 1), bytes.get(at + 2)) {
            (b'%', Some(&high), Some(&low)) => hex(high).zip(hex(low)),
            _ => None,
        };
        match (escaped, bytes[at]) {
            (Some((high, low)), _) => {
                out.push(high << 4 | low);
                at += 3;
                continue;
            }
            (None, b'+') => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    out
}

/// A form (`application/x-www-form-urlencoded`), or the query of an address.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        if !out.is_empty() {
            out.push('&');
        }
        encode_into(&mut out, name.as_bytes());
        out.push('=');
        encode_into(&mut out, value.as_bytes());
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_what_is_no_escape_stands_for_itself() {
        assert_eq!(decode_query("a+b%20c%2Fd"), b"a b c/d");
        assert_eq!(decode_query("100%"), b"100%");
        assert_eq!(decode_query("%zz%4"), b"%zz%4");
        assert_eq!(decode_query("%e1%88%b4"), "ሴ".as_bytes());
    }

    #[test]
    fn a_form_escapes_what_would_end_a_field() {
        assert_eq!(form(&[("a", "1&b=2"), ("c", "x y")]), "a=1%26b%3D2&c=x%20y");
    }
}
