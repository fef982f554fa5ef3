//! The ways to write a secret in which it must be found: for tests and fuzzers.
#![expect(clippy::expect_used, reason = "a panic is how a test reports")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8], between: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between)
}

/// Each byte or character as something.
fn each<T>(all: impl IntoIterator<Item = T>, written: impl Fn(T) -> String) -> String {
    all.into_iter().map(written).collect()
}

fn percent(text: &str) -> String {
    each(
        text.bytes(),
        |byte| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") },
    )
}

/// A way to write a text.
pub(crate) type Encoding = (&'static str, fn(&str) -> String);

/// Every way to write a text in which a secret is found; the first ones are those that others are often put over.
pub(crate) const ENCODINGS: [Encoding; 31] = [
    ("plain", str::to_owned),
    ("percent", percent),
    ("JSON", |text| serde_json::to_string(text).expect("a text")),
    ("base64", |text| STANDARD.encode(text)),
    ("hexadecimal", |text| hexadecimal(text.as_bytes(), "")),
    ("x", |text| each(text.bytes(), |byte| format!("\\x{byte:02x}"))),
    ("HTML", |text| each(text.chars(), |it| format!("&#{};", u32::from(it)))),
    ("form", |text| percent(text).replace("%20", "+")),
    ("percent of all", |text| each(text.bytes(), |byte| format!("%{byte:02x}"))),
    ("old percent", |text| each(text.encode_utf16(), |unit| format!("%u{unit:04X}"))),
    ("JSON units", |text| each(text.encode_utf16(), |unit| format!("\\u{unit:04x}"))),
    ("braces", |text| each(text.chars(), |it| it.escape_unicode().to_string())),
    ("long units", |text| each(text.chars(), |it| format!("\\U{:08x}", u32::from(it)))),
    ("octal", |text| each(text.bytes(), |byte| format!("\\{byte:03o}"))),
    ("HTML in hexadecimal", |text| each(text.chars(), |it| format!("&#X{:X};", u32::from(it)))),
    ("HTML without semicolons", |text| each(text.chars(), |it| format!("&#{}", u32::from(it)))),
    ("HTML in hexadecimal without semicolons", |text| each(text.chars(), |it| format!("&#x{:x}", u32::from(it)))),
    ("quoted printable", |text| each(text.bytes(), |byte| format!("={byte:02X}"))),
    ("quoted printable lines", |text| {
        each(text.chars(), |it| if it == '=' { "=3D".into() } else { format!("{it}=\r\n") })
    }),
    ("base64 for URLs", |text| URL_SAFE_NO_PAD.encode(text)),
    ("base64 in lines", |text| {
        let text = STANDARD.encode(format!("{text}{text}"));
        each(text.as_bytes().chunks(20), |line| format!("{}\n", String::from_utf8_lossy(line)))
    }),
    ("hexadecimal, large", |text| hexadecimal(text.as_bytes(), "").to_uppercase()),
    ("hexadecimal with colons", |text| hexadecimal(text.as_bytes(), ":")),
    ("hexadecimal numbers", |text| format!("0x{}", hexadecimal(text.as_bytes(), ", 0x"))),
    ("full width", |text| {
        each(text.chars(), |it| match it {
            '!'..='~' => char::from_u32(u32::from(it) + 0xfee0).expect("a character").to_string(),
            other => other.to_string(),
        })
    }),
    ("blanks", |text| each(text.chars(), |it| format!("{it} "))),
    ("line breaks", |text| each(text.chars(), |it| format!("{it}\r\n"))),
    ("unseen", |text| {
        each(text.chars().zip("\u{200b}\u{ad}\0\u{feff}\u{301}\u{2060}\u{fe0f}".chars().cycle()), |(it, not)| {
            format!("{it}{not}")
        })
    }),
    ("colours", |text| each(text.chars(), |it| format!("{it}\u{1b}[0;31m"))),
    ("UTF-16", |text| each(text.encode_utf16(), |it| it.to_le_bytes().map(char::from).iter().collect())),
    ("quotes", |text| each(text.chars(), |it| format!("{it}\" '"))),
];
