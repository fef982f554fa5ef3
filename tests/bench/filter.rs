//! How long it takes to filter a million rows of the portal's export, beside reading them.
//!
//! `cargo bench --bench filter` prints the shortest of seven passes for each filter, taken in turn, and its ratio to a bare
//! pass of the `csv` crate over the same file. The target: reading and filtering together take at most three times as long
//! as reading alone, so that filtering takes at most twice. The last line is what somebody waits who has 200,000 rows of it
//! read as lists of machines, with a filter and without: at most 2.5 times as long.
#![expect(clippy::print_stdout, reason = "the figures are what the benchmark is for")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot work has nothing to say")]

mod timing;

use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use tagfleet::measured::{
    Accepted, BoundFilter, Cell, Filter, HeaderColumns, InputOptions, Orders, Row, Unread, read_selected,
};
use timing::{shortest, timed};

const ROWS: u32 = 1_000_000;
const INPUT_ROWS: u32 = 200_000;
const PASSES: usize = 7;
const HEADER: &str =
    "Device ID,Device Name,Domain,OS Platform,Last device update,Tags,Risk Level,Health Status,Device IPs";
const PLATFORMS: [&str; 4] = ["WindowsServer2022", "Windows11", "Linux", "macOS"];
const TAGS: [&str; 4] = ["", "Tier 0", "\"PCI, Kiosk\"", "\"SITE-BER, Tier 1, Quarter 3\""];

/// What people ask, and what takes longest.
const FILTERS: [(&str, &str); 6] = [
    ("typical", "OSPlatform startswith 'windowsserver' and LastDeviceUpdate > ago(30d)"),
    ("dates of every row", "LastDeviceUpdate > ago(30d) and LastDeviceUpdate < now()"),
    ("lists", "set_has_element(Tags, 'Tier 0') or isempty(Tags)"),
    ("terms", "DeviceName has 'ber' and RiskLevel in~ ('high', 'medium') or Domain contains 'emea'"),
    ("pattern", "DeviceName matches regex @'^srv-(ber|muc)-\\d+\\.'"),
    ("address", "not(ipv4_is_in_range(DeviceIPs, '10.0.0.0/9'))"),
];

/// A record of the `csv` crate.
#[derive(Default)]
struct Record(csv::StringRecord);

impl Row for Record {
    fn cell(&self, position: usize) -> Cell<'_> {
        Cell::Text(self.0.get(position).unwrap_or_default())
    }
}

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("export.csv");
    write_export(&path, ROWS).expect("an export");
    let header: Vec<String> = HEADER.split(',').map(str::to_owned).collect();
    let now = "2026-11-26T12:00:00Z".parse().expect("a time");
    let bound = |filter: &str| {
        let filter = Filter::parse(filter, now).expect("a filter");
        filter.bind(&HeaderColumns::new(&header)).expect("its columns")
    };
    let filters: Vec<BoundFilter> = FILTERS.iter().map(|(_, filter)| bound(filter)).collect();
    let mut reads = Vec::new();
    let mut passes = vec![Vec::new(); filters.len()];
    for _ in 0..PASSES {
        reads.push(timed(|| assert_eq!(pass(&path, None), ROWS)));
        for (filter, passes) in filters.iter().zip(&mut passes) {
            passes.push(timed(|| assert!((1..ROWS).contains(&pass(&path, Some(filter))))));
        }
    }
    let read = shortest(reads).as_secs_f64();
    println!("rows                {ROWS}");
    println!("bare csv pass       {read:.3} s");
    for ((name, _), passes) in FILTERS.iter().zip(passes) {
        let both = shortest(passes).as_secs_f64();
        println!("{name:<19} {:.3} s for filtering, ratio {:.2}", both - read, (both - read) / read);
    }
    write_export(&path, INPUT_ROWS).expect("an export");
    let slowest = FILTERS.iter().map(|(_, filter)| {
        let (mut all, mut some) = (Vec::new(), Vec::new());
        for _ in 0..PASSES {
            all.push(timed(|| assert_eq!(input_rows(&path, None), INPUT_ROWS)));
            some.push(timed(|| assert!((1..INPUT_ROWS).contains(&input_rows(&path, Some(filter))))));
        }
        (shortest(some).as_secs_f64(), shortest(all).as_secs_f64())
    });
    let (some, all) = slowest.max_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1))).expect("filters");
    println!(
        "as an input         {some:.3} s of {INPUT_ROWS} rows with the slowest filter, {all:.3} s without, ratio {:.2}",
        some / all
    );
}

/// Reads the export as a list of machines; counts the rows that are selected.
fn input_rows(path: &Path, filter: Option<&str>) -> u32 {
    let now = "2026-11-26T12:00:00Z".parse().expect("a time");
    let filter = filter.map(|filter| Filter::parse(filter, now).expect("a filter"));
    let orders = Orders::new(&["Tier 1".to_owned()], &[], None, Accepted::default()).expect("orders");
    let options = InputOptions { orders: Some(orders), ..InputOptions::default() };
    let file = File::open(path).expect("the export");
    read_selected(file, &options, filter, None).expect("a sheet").row_count
}

/// Reads all rows; counts those that are selected.
fn pass(path: &Path, filter: Option<&BoundFilter>) -> u32 {
    let mut reader = csv::Reader::from_path(path).expect("the export");
    let (mut record, mut unread, mut selected) = (Record::default(), Unread::default(), 0);
    while reader.read_record(&mut record.0).expect("a record") {
        selected += u32::from(filter.is_none_or(|filter| filter.selects(&record, &mut unread)));
        black_box(&record.0);
    }
    selected
}

fn write_export(path: &Path, rows: u32) -> io::Result<()> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "{HEADER}")?;
    for row in 0..rows {
        let (high, low) = (random.u128(..), random.u32(..));
        let site = ["ber", "muc", "bern", "par"].get(random.usize(..4)).copied().unwrap_or_default();
        let domain = if row % 3 == 0 { "emea.example.com" } else { "corp.example.com" };
        let platform = PLATFORMS.get(random.usize(..4)).copied().unwrap_or_default();
        let tags = TAGS.get(random.usize(..4)).copied().unwrap_or_default();
        let risk = ["High", "Medium", "Low", "None"].get(random.usize(..4)).copied().unwrap_or_default();
        let (month, day, hour) = (random.u8(1..=11), random.u8(1..=25), random.u8(0..24));
        let (second, third) = (random.u8(..), random.u8(..));
        writeln!(
            file,
            "{high:032x}{low:08x},srv-{site}-{row}.{domain},{domain},{platform},2026-{month:02}-{day:02}T{hour:02}:15:00.000Z,\
             {tags},{risk},Active,10.{second}.{third}.7"
        )?;
    }
    file.flush()
}
