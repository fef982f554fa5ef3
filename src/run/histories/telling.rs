//! What a command tells a person: its exit status, what it said, and its results as a CSV reader finds them.

use super::history::{Deed, FileNumber, Label, Options, Row};
use super::rules_file::RulesFile;
use super::service::{machine_id, machine_name};
use super::truth::{CommandNumber, MachineNumber, Moment, Wish};
use crate::model::DeviceValue;

/// A command that is over, as far as anybody outside it can tell.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) number: CommandNumber,
    pub(super) label: Label,
    pub(super) deed: Deed,
    pub(super) options: Options,
    /// Whether nothing went wrong with its calls and nobody disturbed it.
    pub(super) was_calm: bool,
    /// Whether another command was under way at some time.
    pub(super) had_company: bool,
    /// The run that it began or went on with.
    pub(super) run: Option<String>,
    /// The places of the log between which it lived, and when.
    pub(super) began: usize,
    pub(super) began_at: Moment,
    pub(super) ended: usize,
    pub(super) ended_at: Moment,
    pub(super) end: End,
    /// The rows of its file when it began.
    pub(super) file: Option<(FileNumber, Vec<Row>)>,
    /// Its file of rules, likewise.
    pub(super) rules: Option<RulesFile>,
    pub(super) results: Option<Vec<ResultRow>>,
    pub(super) text: String,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Exited(u8),
    Killed,
    Panicked(String),
    /// It was given up: so long nothing may take, or it did the same for ever.
    Endless,
}

/// A row of the results.
#[derive(Clone, Debug, Default)]
pub(super) struct ResultRow {
    /// The machine, where it is one.
    pub(super) machine: Option<MachineNumber>,
    /// As the cells stand there.
    pub(super) cells: Vec<String>,
    pub(super) wishes: Vec<Wish>,
    pub(super) number: usize,
    /// Of `verify`, what was found.
    pub(super) status: String,
    pub(super) http_status: String,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) run: String,
}

/// The columns of every file.
pub(super) const COLUMNS: [&str; 4] = ["machineId", "tag", "action", "value"];

/// Reads results; `None` when they are none. Rows that do not say what was asked for were asked for `orders`.
pub(super) fn read_results(text: &str, orders: Option<&[Wish]>) -> Option<Vec<ResultRow>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().ok()?.clone();
    // Where the input has a column of that name, too, ours is the later one.
    let names: Vec<&str> = header.iter().collect();
    let place = |name: &str| names.iter().rposition(|column| *column == name);
    let status = place("status").or_else(|| place("result"))?;
    let orders = orders.filter(|_| place(COLUMNS[2]).is_none());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.ok()?;
        let cell = |name: &str| place(name).and_then(|place| record.get(place)).unwrap_or_default().to_owned();
        let cells: Vec<String> = COLUMNS.iter().map(|name| cell(name)).collect();
        rows.push(ResultRow {
            machine: number_of_machine(&cells[0]),
            wishes: orders.map_or_else(|| wishes(&cells), <[Wish]>::to_vec),
            cells,
            number: cell("row").parse().ok()?,
            status: record.get(status)?.to_owned(),
            http_status: cell("http_status"),
            code: cell("error_code"),
            message: cell("error_message"),
            before: cell("before"),
            after: cell("after"),
            run: cell("run_id"),
        });
    }
    Some(rows)
}

/// What the cells of a row ask for.
fn wishes(cells: &[String]) -> Vec<Wish> {
    let [_, tag, action, value] = cells else { return Vec::new() };
    let of_tag = match action.to_ascii_lowercase().as_str() {
        "add" => Some(Wish::Add(tag.clone())),
        "remove" => Some(Wish::Remove(tag.clone())),
        _ => None,
    };
    let values = [DeviceValue::Low, DeviceValue::Normal, DeviceValue::High];
    let of_value = values.into_iter().find(|known| known.as_str() == value).map(Wish::Set);
    of_tag.into_iter().chain(of_value).collect()
}

/// The machine that a cell names.
fn number_of_machine(cell: &str) -> Option<MachineNumber> {
    let cell = cell.to_ascii_lowercase();
    let is_short = |name: &str| name.split('.').next() == Some(cell.as_str());
    (0..1000).find(|number| {
        let name = machine_name(*number);
        cell == machine_id(*number) || cell == name || is_short(&name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_they_are_written() {
        let id = machine_id(7).to_uppercase();
        let text = format!(
            "machineId,tag,action,value,row,status,http_status,error_code,error_message,attempts,request_id,before,\
             after,finished_at,run_id\n{id},a,Add,High,1,failed,404,NotFound,\"gone, alas\",1,,absent,,x,r\n\
             host3,a,,Low,2,unchanged,,,,0,,,,,r\n"
        );
        let rows = read_results(&text, None).expect("rows");
        assert_eq!((rows[0].machine, rows[1].machine), (Some(7), Some(3)));
        assert_eq!(rows[0].wishes, [Wish::Add("a".into()), Wish::Set(DeviceValue::High)]);
        assert_eq!(rows[1].wishes, [Wish::Set(DeviceValue::Low)]);
        assert_eq!((rows[0].code.as_str(), rows[0].message.as_str(), rows[1].number), ("NotFound", "gone, alas", 2));
        assert!(read_results("a,b\n1,2\n", None).is_none());
    }
}
