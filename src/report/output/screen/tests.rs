//! The one way out: whoever put a text together, what is seen of it is harmless.

use std::io::Write as _;

use secrecy::SecretString;

use super::log_line::LogLine;
use super::*;
use crate::outside::secrets;
use crate::report::output::streams::DataStream;

/// Everything that was written, by whichever way.
#[derive(Debug, Default)]
struct Written(Mutex<Vec<u8>>);

impl Streams for Written {
    fn write_error(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(())
    }

    fn write_data(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_error(bytes)
    }
}

/// What a screen with these lines writes when this is done.
fn written(format: LogFormat, write: impl FnOnce(&Screen)) -> String {
    let streams = Arc::new(Written::default());
    write(&Screen::over(streams.clone(), false).with_line_format(format));
    String::from_utf8(streams.0.lock().expect("no panic").clone()).expect("UTF-8")
}

#[test]
fn nothing_that_is_said_moves_a_terminal_or_shows_a_secret() {
    secrets::keep(&SecretString::from("screen~secret/1"));
    let text = "a\u{1b}]52;c;x\u{7} screen~secret%2F1\u{2028}\nb";
    let harmless = "a\\u{1b}]52;c;x\\u{7} ***\\u{2028}\nb\n";
    assert_eq!(written(LogFormat::Text, |screen| screen.line(text)), harmless);
    assert_eq!(written(LogFormat::Text, |screen| screen.remark(text)), harmless);
    let problem = || Problem { error: text.into(), hint: None };
    assert_eq!(written(LogFormat::Text, |screen| screen.problem(&problem())), format!("error: {harmless}"));
    let json = written(LogFormat::Json, |screen| screen.line(text));
    let object: serde_json::Value = serde_json::from_str(&json).expect("an object");
    assert_eq!(object["fields"]["message"], "a\u{1b}]52;c;x\u{7} ***\u{2028}\nb", "it is exact for whoever parses it");
    assert!(json.trim_end().chars().all(|character| !character.is_control() && character != '\u{2028}'), "{json}");
}

#[test]
fn a_line_of_the_log_is_one_line() {
    let line = |text: &str| written(LogFormat::Text, |screen| drop(LogLine::on(screen).write_all(text.as_bytes())));
    assert_eq!(line("INFO a\nERROR forged\u{9b}2J\n"), "INFO a\\u{a}ERROR forged\\u{9b}2J\n");
}

#[test]
fn what_is_watched_is_harmless_wherever_its_bytes_are_parted() {
    for position in 0.."größe\u{9b}2J".len() {
        let watched = Arc::new(Written::default());
        let mut rows = DataStream::new(watched.clone(), true);
        let (start, end) = "größe\u{9b}2J".as_bytes().split_at(position);
        rows.write_all(start).expect("it takes all");
        rows.write_all(end).expect("it takes all");
        let rows = String::from_utf8(watched.0.lock().expect("no panic").clone()).expect("UTF-8");
        assert_eq!(rows, "größe\\u{9b}2J");
    }
    let piped = Arc::new(Written::default());
    Screen::over(piped.clone(), false).data_stream().write_all(b"\x1b[2J\xff").expect("it takes all");
    assert_eq!(*piped.0.lock().expect("no panic"), b"\x1b[2J\xff", "rows for a program are exact");
}

/// Takes nothing.
#[derive(Debug)]
struct Failing(io::ErrorKind);

impl Streams for Failing {
    fn write_error(&self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn write_data(&self, _bytes: &[u8]) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn a_reader_who_goes_is_no_failure_and_one_who_stands_still_is() {
    for (kind, on_terminal, elsewhere) in [
        (io::ErrorKind::BrokenPipe, true, true),
        (io::ErrorKind::TimedOut, false, false),
        (io::ErrorKind::StorageFull, true, false),
    ] {
        for (is_terminal, is_well) in [(true, on_terminal), (false, elsewhere)] {
            let mut screen = Screen::over(Arc::new(Failing(kind)), false);
            screen.output_is_terminal = is_terminal;
            assert_eq!(screen.data("x").is_ok(), is_well, "{kind} {is_terminal}");
            assert_eq!(screen.data_in_parts(|out| out.write_all(b"x")).is_ok(), is_well, "{kind} {is_terminal}");
        }
    }
}

#[test]
fn a_list_stands_in_its_object_whatever_else_that_says() {
    let written = written(LogFormat::Text, |screen| {
        let own = serde_json::json!({"a": "\"tags\":[", "b": 1});
        let items = ["x\u{1b}", "\"tags\":["].into_iter().map(serde_json::Value::from);
        screen.object_with_list(own, ("tags", items), &super::super::frame::Ending::finished(0)).expect("it takes all");
    });
    let object: serde_json::Value = serde_json::from_str(&written).expect("an object");
    assert_eq!((&object["a"], &object["b"]), (&"\"tags\":[".into(), &1.into()));
    assert_eq!(object["tags"], serde_json::json!(["x\u{1b}", "\"tags\":["]));
    assert!(object["schema_version"] == 1 && !written.contains('\u{1b}'), "{written}");
}
