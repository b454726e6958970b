//! AWS Signature Version 4 as Bedrock checks it: the canonical request is built from what arrived and signed
//! anew with the only secret the testkit knows.

use sha2::{Digest, Sha256};

use crate::http::Request;

/// The access key that signs for Bedrock, and its secret.
pub const AWS_ACCESS_KEY_ID: &str = "AKIATESTKIT000000001";
pub const AWS_SECRET_ACCESS_KEY: &str = "test-secret-access-key";

/// What is wrong with a signature: the exception's name and its message.
pub(crate) type Fault = (&'static str, String);

/// The parts of `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
struct Authorization<'a> {
    access_key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

pub(crate) fn check(request: &Request) -> Result<(), Fault> {
    let header = request.header("authorization").unwrap_or_default();
    let Some(authorization) = parse(header) else {
        return Err((
            "MissingAuthenticationTokenException",
            "Missing Authentication Token".to_owned(),
        ));
    };
    if authorization.access_key != AWS_ACCESS_KEY_ID {
        return Err((
            "UnrecognizedClientException",
            "The security token included in the request is invalid.".to_owned(),
        ));
    }
    let stamp = request.header("x-amz-date").unwrap_or_default();
    let is_stamp = stamp.len() == 16
        && stamp.starts_with(authorization.date)
        && stamp.as_bytes()[8] == b'T'
        && stamp.ends_with('Z');
    let signs = |name: &str| {
        authorization
            .signed_headers
            .split(';')
            .any(|one| one == name)
    };
    if !is_stamp
        || authorization.service != "bedrock"
        || !signs("host")
        || !signs("x-amz-date")
        || request.header("x-amz-security-token").is_some() && !signs("x-amz-security-token")
    {
        return Err((
            "IncompleteSignatureException",
            "The credential scope, the date or the signed headers do not fit: sign host and x-amz-date for the service 'bedrock'.".to_owned(),
        ));
    }
    if signature(request, &authorization, stamp) == authorization.signature {
        return Ok(());
    }
    Err((
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.".to_owned(),
    ))
}

fn parse(header: &str) -> Option<Authorization<'_>> {
    let fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let field = |name: &str| {
        fields
            .split(',')
            .filter_map(|field| field.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    let mut scope = field("Credential")?.split('/');
    let authorization = Authorization {
        access_key: scope.next()?,
        date: scope.next()?,
        region: scope.next()?,
        service: scope.next()?,
        signed_headers: field("SignedHeaders")?,
        signature: field("Signature")?,
    };
    (scope.next() == Some("aws4_request") && scope.next().is_none()).then_some(authorization)
}

fn signature(request: &Request, authorization: &Authorization<'_>, stamp: &str) -> String {
    let Authorization {
        date,
        region,
        service,
        signed_headers,
        ..
    } = authorization;
    let mut headers = String::new();
    for name in signed_headers.split(';') {
        let value = request.header(name).unwrap_or_default();
        let words: Vec<&str> = value.split_whitespace().collect();
        headers.extend([name, ":", &words.join(" "), "\n"]);
    }
    let mut pairs: Vec<&str> = request
        .query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .collect();
    pairs.sort_unstable();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{signed_headers}\n{}",
        request.method,
        encoded(&request.path),
        pairs.join("&"),
        hex(&Sha256::digest(&request.body))
    );
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let mut key = hmac(
        format!("AWS4{AWS_SECRET_ACCESS_KEY}").as_bytes(),
        date.as_bytes(),
    );
    for part in [region, service, &"aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    hex(&hmac(&key, to_sign.as_bytes()))
}

/// The path encoded once more, as every service but S3 wants it.
fn encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex(&[byte]).to_uppercase());
        }
    }
    out
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut padded = if key.len() > BLOCK {
        Sha256::digest(key).to_vec()
    } else {
        key.to_vec()
    };
    padded.resize(BLOCK, 0);
    let pad = |with: u8| -> Vec<u8> { padded.iter().map(|byte| byte ^ with).collect() };
    let inner = Sha256::digest([&pad(0x36)[..], data].concat());
    Sha256::digest([&pad(0x5C)[..], &inner].concat()).to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn the_hmac_is_the_published_one() {
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
