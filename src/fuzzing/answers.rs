//! What the service answers, whoever the service is.

use jiff::Timestamp;

use super::{Choices, assert_harmless};
use crate::api::{Answer, ApiRequest, Response};
use crate::call::{History, Verdict, judge};
use crate::inventory::Inventory;
use crate::model::{AnswerFacts, DeviceValue, MachineId, Tag, TagAction};

const MACHINES: [&str; 2] = ["1e5bc9d7e413ddd7902c2932e418702b84d0cc07", "0000000000000000000000000000000000000001"];

/// The most characters of a text that is kept of an answer.
const LONGEST_FACT: usize = 600;

/// Judges an answer to a call of each kind, and reads a page of it into an inventory.
pub(super) fn answers(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let request = request(&mut choices);
    let history = History {
        not_found: u32::from(choices.byte() % 4),
        not_applied: u32::from(choices.byte() % 4),
        busy: u32::from(choices.byte() % 4),
        ..History::default()
    };
    let status = choices.of([200, 200, 200, 204, 302, 400, 401, 403, 404, 413, 429, 429, 500, 503]);
    let text = choices.0;
    // Headers stand before the body, each on a line.
    let mut lines = text.splitn(4, |byte| *byte == b'\n');
    let mut header = || {
        let line = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        (!line.is_empty()).then_some(line)
    };
    let (retry_after, date, request_id) = (header(), header(), header());
    let body = lines.next().unwrap_or_default().to_vec();
    let response = Response { status, retry_after, date, location: None, request_id, body };
    let judge_it = || judge(&request, &Answer::Response(response.clone()), history, Timestamp::UNIX_EPOCH);
    let verdict = judge_it();
    assert_eq!(verdict, judge_it(), "the same answer is judged the same");
    successes_are_the_services(&response, &verdict);
    facts_are_short_lines(&verdict);
    read_into_an_inventory(&response);
}

fn request(choices: &mut Choices<'_>) -> ApiRequest {
    let [machine, other] = MACHINES.map(MachineId::from_service);
    let tag = Tag::new("Tier 0").expect("a tag");
    let action = choices.of([TagAction::Add, TagAction::Remove]);
    match choices.byte() % 5 {
        0 => ApiRequest::ChangeTag { machine, action, tag },
        1 => ApiRequest::ChangeTagOnMachines { machines: vec![machine, other], action, tag },
        2 => ApiRequest::SetDeviceValue { machine, value: DeviceValue::High },
        3 => ApiRequest::ListMachines { top: 10_000, skip: u64::from(choices.byte()) },
        _ => ApiRequest::GetMachine { machine },
    }
}

/// Only a success of the service's own makes anything so, and only of a machine that it names.
fn successes_are_the_services(response: &Response, verdict: &Verdict) {
    let is_success = (200..300).contains(&response.status);
    match verdict {
        Verdict::Done { .. } => {
            assert!(is_success);
            let machine = response.machine_record().expect("the answer is a machine");
            assert!(MACHINES.iter().any(|id| id.eq_ignore_ascii_case(&machine.id)), "one that was asked about");
        }
        Verdict::Accepted { .. } | Verdict::Answered { .. } => assert!(is_success),
        _ => {}
    }
}

fn facts_are_short_lines(verdict: &Verdict) {
    let facts: &AnswerFacts = match verdict {
        Verdict::Done { facts, .. }
        | Verdict::Accepted { facts }
        | Verdict::Read { facts, .. }
        | Verdict::Retry { facts, .. }
        | Verdict::Answered { facts, .. }
        | Verdict::Split { facts, .. }
        | Verdict::Throttled { facts, .. }
        | Verdict::Fail { facts, .. }
        | Verdict::Abort { facts, .. } => facts,
    };
    for text in [&facts.error_code, &facts.error_message, &facts.request_id].into_iter().flatten() {
        assert!(text.chars().count() <= LONGEST_FACT, "{text}");
        assert_harmless(text);
        assert!(!text.contains('\n'), "{text:?} is one line");
    }
}

fn read_into_an_inventory(response: &Response) {
    let Ok(page) = response.machine_page() else { return };
    assert!(page.machines.iter().all(|machine| !machine.id.is_empty()));
    let count = page.machines.len();
    let inventory = Inventory::from_machines(Timestamp::UNIX_EPOCH, page.machines);
    assert!(inventory.len() <= count);
    for machine in inventory.machines() {
        assert_eq!(inventory.look_up(machine.id()).map(|found| found.position()), Some(machine.position()));
        let shown = (machine.last_seen(), machine.device_value(), machine.device_value_text(), machine.tags().count());
        drop(format!("{shown:?}"));
        if let Some(name) = machine.name() {
            drop((inventory.find_name(name), inventory.similar_names(name)));
        }
    }
    drop(inventory.tag_counts());
}
