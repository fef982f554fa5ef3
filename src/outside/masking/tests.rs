use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::SecretString;

use super::*;
use crate::outside::disguises::{ENCODINGS, hexadecimal};

const WEB_TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ4In0.c2lnbmF0dXJl";
/// As mail and editors fold it.
const LONG_TOKEN_LINES: &str = "eyJhbGciOiJSUzI1NiIs\n  Imlzc3VlIjoxfQ.eyJ0aWQiOiJmb2xkZWQi\r\nLCJyb2xlcyI6W119.c2lnbmF0dXJlc2lnbmF0\ndXJlc2lnbmF0dXJlc2ln";
/// With everything that encodings change.
const SECRET: &str = "mask~me+a/b&\"c\"=\\d e";

#[test]
fn what_surrounds_a_secret_stays() {
    secrets::keep(&SecretString::from(format!(" {SECRET}\n")));
    let form = "mask%7Eme%2Ba%2fb%26%22c%22%3D%5Cd+e";
    let (whole, pieces) = (format!("id:{SECRET}"), format!("x{SECRET}"));
    let json = serde_json::to_string(SECRET).expect("a text").trim_matches('"').to_owned();
    let table = [
        ("nothing to hide".to_owned(), "nothing to hide"),
        (format!("{SECRET} and {SECRET}"), "*** and ***"),
        (format!("x{SECRET}y"), "x***y"),
        (format!("client_secret={form}&x"), "client_secret=***&x"),
        (format!("\"{json}\""), "\"***\""),
        (r#"(mask~me\u002Ba\/b\u0026\"c\"=\\d e)"#.to_owned(), "(***)"),
        (r#"(mask~me\\u002ba\\/b\\u0026\\\"c\\\"=\\\\d e)"#.to_owned(), "(***)"),
        ("(mask~me&#43;a&#x2F;b&amp;&quot;c&quot;=\\d e)".to_owned(), "(***)"),
        (format!("Basic {}", STANDARD.encode(&whole)), "Basic ***="),
        (format!("Basic {}", STANDARD.encode(&pieces)), "Basic ***"),
        (format!("/{}", URL_SAFE_NO_PAD.encode(SECRET)), "***"),
        ("cut: mask~me+a/b&\"c\"=…".to_owned(), "cut: ***…"),
        ("cut: mask~me+a".to_owned(), "cut: mask~me+a"),
        ("its tail: k~me+a/b&\"c\"=\\d e.".to_owned(), "its tail: ***."),
        (format!("2026-11-26 12:00 {} 1", hexadecimal(SECRET.as_bytes(), ":")), "2026-11-26 12:00 *** 1"),
        (format!(r"\n{}", STANDARD.encode(&whole)), "***="),
    ];
    for (text, expected) in table {
        assert_eq!(masked(&text), expected, "{text}");
    }
}

#[test]
fn a_secret_is_masked_in_every_dress_and_in_one_over_another() {
    let secret = "q8Q~Tw+ee/tyZ=xy\"w\\v&<Ü7-aB.c_dX%41e f";
    secrets::keep(&secret.into());
    for (outer, dress) in ENCODINGS {
        // What stands between characters is left out between those of the secret only: it ends what encodings write.
        let within =
            if matches!(outer, "blanks" | "line breaks" | "quotes") { &ENCODINGS[..1] } else { &ENCODINGS[..8] };
        for (inner, underwear) in within {
            let text = format!("at {}, then", dress(&underwear(secret)));
            let shown = masked(&text);
            assert!(
                shown.contains(MASK) && shown.len() < text.len() / 4 + 40,
                "{inner} in {outer}: {shown} for {text}"
            );
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_sixteen_characters_of_a_secret_are_masked_wherever_they_stand(
        start in 0_usize..24, more in 0_usize..8, outer in 0..ENCODINGS.len(), before in "[ -~äß\u{200b}]{0,20}", after in "[ -~äß\u{200b}]{0,20}",
    ) {
        let secret = "pR7~piece+of/a=secret,Vk2.that-is_longer";
        secrets::keep(&secret.into());
        let piece = secret.get(start..(start + PIECE + more).min(secret.len())).expect("a piece");
        let (name, dress) = ENCODINGS[outer];
        let text = format!("{before}<{}>{after}", dress(piece));
        proptest::prop_assert!(masked(&text).contains(MASK), "{}: {}", name, text);
        proptest::prop_assert_eq!(masked(&before), before.as_str(), "nothing else is");
    }
}

#[test]
fn an_id_is_told_to_hold_nothing_without_a_search_only_where_a_search_would_find_nothing() {
    /// Digits of both kinds, and a secret in base64.
    const IN_BASE64: &str = "a0c1b1d2c2d3d3c4e0d5f1c6";
    const IDS: usize = 2000;
    let (secret, plain) = ("pQ7~id+of/a=secr", "0123abcd-4567-89ef");
    let said = URL_SAFE_NO_PAD.decode(IN_BASE64).ok().and_then(|said| String::from_utf8(said).ok()).expect("a text");
    let mut pieces = Pieces::default();
    for secret in [secret, plain, &said] {
        pieces.add(secret);
    }
    let digits = hexadecimal(secret.as_bytes(), "");
    let mut ids = vec![
        plain.to_owned(),
        format!("ab-{plain}"),
        digits.clone(),
        format!("a{digits}"),
        hexadecimal(secret.as_bytes(), "-"),
        // One encoding within another.
        hexadecimal(secret.replace('=', "%3D").as_bytes(), ""),
        hexadecimal(STANDARD.encode(secret).as_bytes(), ""),
    ];
    ids.extend(["", "0", "-1", "234"].map(|before| format!("{before}{IN_BASE64}-5")));
    for id in ids {
        assert!(!found_in(&id, &pieces, Scope::Everything).is_empty(), "{id}");
        assert!(!is_harmless_id(&id, &pieces), "{id}");
    }
    let mut random = fastrand::Rng::with_seed(8);
    let made_up = || {
        format!("{:08x}-{:04x}-{:04x}-{:012x}", random.u32(..), random.u16(..), random.u16(..), random.u64(..1 << 48))
    };
    let ids: Vec<String> = std::iter::repeat_with(made_up).take(IDS).collect();
    assert!(ids.iter().all(|id| found_in(id, &pieces, Scope::Everything).is_empty()));
    let told = ids.iter().filter(|id| is_harmless_id(id, &pieces)).count();
    assert!(told > IDS * 4 / 5, "{told}: nearly none needs a search");
}

/// So many characters in a row of a secret are enough.
const PIECE: usize = 16;

#[test]
fn fewer_characters_than_sixteen_of_a_secret_are_no_secret() {
    let secret = "Lm4~fewer-in/one.here;Zk8!then_nothing:";
    secrets::keep(&secret.into());
    for start in 0..=secret.len() - PIECE {
        let text = format!("({})", &secret[start..start + PIECE - 1]);
        assert_eq!(masked(&text), text);
        assert_eq!(masked(&format!("({})", &secret[start..start + PIECE])), "(***)");
    }
}

#[test]
fn a_part_of_our_own_token_is_masked_and_a_token_in_pieces() {
    let token =
        format!("{}.{}.c2hvcnQtc2ln", "eyJhbGciOiJSUzI1NiIsIm93biI6MX0", "eyJ0aWQiOiJvdXJzIiwiYXBwIjoib3VycyJ9");
    secrets::learn(&token.as_str().into());
    let half = token.len() / 2;
    for part in token.split('.').chain([&token[..half], &token[half..], &token[20..]]) {
        assert_eq!(masked(&format!("<{part}>")), "<***>", "{part}");
    }
}

#[test]
fn a_secret_that_could_be_a_word_is_masked_as_a_whole_word_only() {
    for secret in ["Sesame", "maskedpassword", "no"] {
        secrets::keep(&SecretString::from(secret));
    }
    for (text, expected) in [
        ("the token Sesame, \"Sesame\" and Sesame.", "the token ***, \"***\" and ***."),
        ("Sesame-Lab, OpenSesame, sesame_x Sesame_x", "Sesame-Lab, OpenSesame, sesame_x Sesame_x"),
        ("token%3DSesame and \\u0022Sesame and \\nSesame", "token%3D*** and \\u0022*** and \\n***"),
        ("maskedpassword maskedpasswords", "*** maskedpasswords"),
        ("no is too short", "no is too short"),
    ] {
        assert_eq!(masked(text), expected, "{text}");
    }
}

#[test]
fn a_web_token_is_known_by_its_three_parts_and_no_word_is_taken_for_one() {
    for (text, expected) in [
        (format!("Bearer {WEB_TOKEN}, end"), "Bearer ***, end"),
        (format!("{WEB_TOKEN} {WEB_TOKEN}."), "*** ***."),
        (format!("token%3D{WEB_TOKEN}"), "token%3D***"),
        (WEB_TOKEN.replace("In0", "In\u{1b}0"), "***"),
        (format!("{LONG_TOKEN_LINES} and"), "*** and"),
        (format!("{LONG_TOKEN_LINES}\nhint: none"), "***\nhint: none"),
        (hexadecimal(WEB_TOKEN.as_bytes(), ""), "***"),
        (STANDARD.encode(STANDARD.encode(WEB_TOKEN)), "***=="),
        (format!("{} beef", hexadecimal(signed(48).as_bytes(), "")), "*** beef"),
    ] {
        assert_eq!(masked(&text), expected);
    }
    for word in [
        "HackneyJunction-Workstations",
        "keyJournal.keyJournals.keyJournalists",
        "eyJunctionWorkstations.contoso.com",
        "eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ4In0",
    ] {
        assert_eq!(masked(word), word);
    }
}

/// Whoever's token with a signature of so many bytes.
fn signed(bytes: usize) -> String {
    format!("eyJhbGciOiJ3aG9ldmVyIn0.eyJ0aWQiOiJ4In0.{}", URL_SAFE_NO_PAD.encode(vec![7; bytes]))
}

#[test]
fn a_word_behind_a_whole_web_token_stays_however_long_it_is_and_however_often_that_is_encoded() {
    for bytes in [32, 64, 256, 512] {
        for word in ["and", "3fa85f64-5717-4562-b3fc-2c963f66afa6", "HackneyJunction-Workstations"] {
            for level in 0..3 {
                let token = (0..level).fold(signed(bytes), |token, _| URL_SAFE_NO_PAD.encode(token));
                assert_eq!(masked(&format!("id {token} {word} x")), format!("id *** {word} x"), "{bytes} {level}");
            }
        }
    }
    // A line of a token that is folded, and one that no signature ends with.
    assert_eq!(masked(&LONG_TOKEN_LINES.replace("c2lnbmF0dXJlc2lnbmF0", &"c".repeat(43))), MASK);
    assert_eq!(masked(&format!("{}\nc2lnbmF0dXJlc2lnbmF0", signed(33))), MASK);
}

/// Secrets that repeat themselves, so that the word beside one may go on like it. None has a piece of another.
const REPEATING: [&str; 4] =
    ["Rq7Rq7Rq7Rq7Rq7Rq7Rq7Rq7", "k-K4k-K4k-K4k-K4k-K4", "wz~wz~wz~wz~wz~wz~", "Hh9 0Hh9 0Hh9 0Hh9 0Hh9"];

fn keep_repeating() {
    for secret in REPEATING {
        secrets::keep(&secret.into());
    }
}

proptest::proptest! {
    #[test]
    fn the_words_beside_a_secret_stay_though_they_go_on_like_it(
        secret in 0..REPEATING.len(), skipped in 0_usize..4, before in 0_usize..12, after in 0_usize..12, again: bool,
        between in "[ \t\n]{1,2}|\" ?\"", more in "[a-e]{0,3}",
    ) {
        keep_repeating();
        let secret = REPEATING[secret];
        let like = |characters: usize| secret.chars().filter(|it| *it != ' ').cycle().skip(skipped).take(characters).collect::<String>();
        let second = if again { format!("{between}{secret}") } else { String::new() };
        let text = format!("{}{between}{secret}{second}{between}{}{more}", like(before), like(after));
        let shown = text.replace(secret, MASK);
        proptest::prop_assert_eq!(masked(&text), shown);
    }

    #[test]
    fn nothing_of_a_secret_is_left_in_any_disguise_beside_words_that_go_on_like_it(
        secret in 0..REPEATING.len(), before in 0_usize..12, after in 0_usize..12, disguise in 0..ENCODINGS.len(),
        between in "[ \n]|\" ?\"|[<>;,]",
    ) {
        keep_repeating();
        let secret = REPEATING[secret];
        let like = |characters: usize| secret.chars().cycle().take(characters).collect::<String>();
        let (name, dress) = ENCODINGS[disguise];
        let text = format!("{}{between}{}{between}{}", like(before), dress(secret), like(after));
        let shown = masked(&text).into_owned();
        // A character that joins nothing, in whose place anything may have been.
        let left = shown.replace(MASK, "\u{fffd}");
        proptest::prop_assert!(shown != left && masked(&left) == left, "{}: {} for {}", name, shown, text);
    }
}

#[test]
fn a_secret_ends_where_a_word_does_and_not_where_one_of_its_own_forms_does() {
    keep_repeating();
    assert_eq!(masked(&format!("id {} x", "Rq7".repeat(10))), "id *** x");
    // All that is left of it, once it is unescaped, is a figure.
    let backslashes = format!("{}3", r"3\\\".repeat(8));
    secrets::keep(&backslashes.as_str().into());
    for (name, dress) in ENCODINGS {
        assert!(masked(&dress(&backslashes)).contains(MASK), "{name}");
    }
}

#[test]
fn a_whole_secret_that_another_begins_with_does_not_end_that() {
    let (first, both) = ("Pv5+first.half,Yy6", "Pv5+first.half,Yy6=and:other;half");
    secrets::keep(&first.into());
    secrets::keep(&both.into());
    assert_eq!(masked("id Pv5+first.half,Yy6 =and:other;half x"), "id *** x");
}

#[test]
fn a_word_is_masked_in_what_comes_from_outside_only() {
    secrets::keep(&"gartenzaun".into());
    assert_eq!(masked("the password gartenzaun is wrong"), "the password *** is wrong");
    assert_eq!(masked_ours("Results: /srv/gartenzaun/in.csv"), "Results: /srv/gartenzaun/in.csv");
    assert_eq!(masked_ours(WEB_TOKEN), MASK);
}

#[test]
fn time_grows_with_the_text_only_whatever_it_holds() {
    secrets::keep(&"wQ9~never+there/at=all,Vk2.whatever".into());
    // Each would take minutes if anything were looked at from each of its characters.
    for unit in ["eyJ", "eyJhbGciOiJub25lIn0.", "a", "%25", "\\", "&#", "0x", "=3D", "QUFB ", "\u{1b}[", "ﷺ", "YWFh"]
    {
        let text = unit.repeat(2_000 / unit.len());
        assert!(masked(&text).len() <= text.len());
        let hidden = format!("{text} wQ9~never+there/at=all {text}");
        assert!(!masked(&hidden).contains("never+there"), "{unit}");
    }
}

#[test]
fn a_long_text_is_read_in_pieces_and_nothing_is_lost_between_them() {
    secrets::keep(&"xB3~edge+of/one=piece,Vk2.whatever".into());
    let blank = " ".repeat(PIECE_BYTES - 20);
    let text = format!("{blank}xB3~edge+of/one=piece,Vk2.whatever{blank}{WEB_TOKEN}");
    assert_eq!(masked(&text), format!("{blank}***{blank}***"));
}

#[test]
fn whatever_a_text_holds_it_can_be_masked() {
    secrets::keep(&"mask~größe&9".into());
    for text in
        ["", "%", "\\", "\\u", "&", "&#", "&#x", "&amp", "mask~gr%C3%B6%C3%9Fe&", "eyJ", "eyJ.eyJ.", "ü%ü&ü;ü\\ü"]
    {
        assert_eq!(masked(text), text);
    }
    for text in ["mask~gr%C3%B6%C3%9Fe%269", "mask~gr\\u00f6\\u00dfe&9", "mask~größe&amp;9"] {
        assert_eq!(masked(text), "***");
    }
    // No terminal takes so much for one sequence.
    let entities: Vec<String> = "mask~größe&9".chars().map(|it| format!("&#{};", u32::from(it))).collect();
    assert_eq!(masked(&format!("\u{1b}[{}m", entities.concat())), "\u{1b}[***m");
}

#[test]
fn a_password_in_an_address_is_seen_whatever_stands_in_it() {
    for (address, password) in [
        ("user:secret@host:5432/d", Some("secret")),
        ("user:sec/ret?@#:x@host/d", Some("sec/ret?@#:x")),
        (":secret@host/d", Some("secret")),
        ("user@host:5432/d", None),
        ("user@[::1]:5432/d?host=/a@b", None),
        ("host:5432/d", None),
        ("user%3Asecret@host/d", None),
    ] {
        assert_eq!(secrets::in_address(address), password, "{address}");
    }
}
