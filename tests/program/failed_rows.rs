//! The file of rows that are worth feeding back.

use crate::machines::with_ids;
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;

#[test]
fn rows_to_feed_back_have_the_schema_of_the_input_and_can_be_fed_back() {
    let sandbox = Sandbox::holding(&[1, 3]);
    let folder = Folder::new();
    let input = with_ids(
        "note;Machine ID;tag;action\n\
         a;#1;Tier 0;Add\n\
         \"b;\nb\";#2;Tier 0;Add\n\
         \"c\";#3;;Add\n\
         d ;#3;Tier 0;Add\n\
         e;#4;Tier 0;Add\n",
    );
    let outcome =
        Rehearsal::at(&sandbox).in_folder(&folder).file(input).with("--skip-invalid --limit 3").run().exits(1);
    let failed = outcome.failed().expect("rows to feed back");
    let expected = "note;Machine ID;tag;action\n\"b;\nb\";#2;Tier 0;Add\nc;#3;;Add\ne;#4;Tier 0;Add\n";
    assert_eq!(failed, with_ids(expected), "failed, invalid and not attempted rows, and no others");

    // Once somebody has mended the row in error and the machine is there, they are all that is left to do.
    let mended = failed.replace(";;Add", ";Tier 1;Add");
    let sandbox = Sandbox::start("");
    let outcome = Rehearsal::at(&sandbox).in_folder(&folder).file(mended).run().exits(0);
    assert_eq!(outcome.failed(), None, "the file of the run before has gone");
    let tags: Vec<Vec<String>> = (1..=4).map(|machine| sandbox.machine(machine).tags).collect();
    assert_eq!(tags, [&[][..], &["Tier 0"], &["Tier 1"], &["Tier 0"]]);
}

#[test]
fn the_file_is_named_after_the_results() {
    let sandbox = Sandbox::start("");
    for (output, failed) in
        [("x.results.csv", "x.failed.csv"), ("out.csv", "out.failed.csv"), ("out", "out.failed.csv")]
    {
        let rehearsal = Rehearsal::at(&sandbox).rows("#1,A,Add,\n#2,A,Add,").with("--limit 1 -o").with(output);
        let folder = rehearsal.run().exits(0).folder().clone();
        let mut expected = ["input.csv", "state", output, failed];
        expected.sort_unstable();
        assert_eq!(folder.names(), expected);
    }
}

#[test]
fn a_machine_that_is_not_there_fails_its_row_after_it_was_missed_three_times() {
    let sandbox = Sandbox::holding(&[1]);
    let outcome = Rehearsal::at(&sandbox).rows("#1,A,Add,\n#2,A,Add,").run().exits(1);
    let results = outcome.results();
    let row = &results.rows[1];
    assert_eq!((&row["status"], &row["http_status"], &row["attempts"]), ("failed", "404", "3"));
    assert_eq!(&row["error_code"], "ResourceNotFound");
    assert!(row["error_message"].contains(&with_ids("#2")), "{}", &row["error_message"]);
    assert_eq!(&row["after"], "");
    assert_eq!(outcome.failed(), Some(with_ids("machineId,tag,action,value\n#2,A,Add,\n")));
}

#[test]
fn there_is_no_such_file_when_all_went_well() {
    let outcome = Rehearsal::new().rows("#1,A,Add,").run().exits(0);
    assert_eq!(outcome.folder().names(), ["input.csv", "input.results.csv", "state"]);
}
