//! How long it takes to check a million rows, beside a bare pass of the `csv` crate over the same file.
//!
//! `cargo bench --bench input` prints the shortest of eleven passes each, taken in turn so that both meet the same weather
//! and what disturbs one of them does not count, their ratio, and the most memory that the process ever held. The target: everything up to the planned operations
//! takes at most three bare passes, within 300 MB.
#![expect(clippy::print_stdout, reason = "the figures are what the benchmark is for")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot work has nothing to say")]

mod timing;

use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use tagfleet::measured::{self, InputOptions, Operations, Resolution};
use timing::{shortest, timed};

const ROWS: u32 = 1_000_000;
const PASSES: usize = 11;
const TAGS: [&str; 4] = ["Tier 0", "Quarter 3 retagging", "EU servers", "kiosk"];

fn main() {
    // As the program does.
    tagfleet::prefer_small_pages();
    // Cargo passes `--bench`, and a filter if one was typed; there is one measurement, so neither matters.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("input.csv");
    let bytes = write_input(&path).expect("an input file");
    let options = InputOptions { spool_directory: Some(directory.path().to_owned()), ..InputOptions::default() };

    let (mut bare_passes, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        bare_passes.push(timed(|| bare_pass(&path)));
        reads.push(timed(|| {
            let sheet = measured::read(File::open(&path).expect("the input file"), &options).expect("a sheet");
            assert_eq!((sheet.row_count, sheet.problems.len()), (ROWS, 0));
            let operations = Operations::of(&Resolution::of(&sheet.requests, None));
            assert_eq!(operations.conflicts.len(), 0);
            black_box((sheet, operations));
        }));
    }

    let (bare, read) = (shortest(bare_passes), shortest(reads));
    println!("rows                {ROWS}, {:.1} MB", decimal_megabytes(bytes));
    println!("bare csv pass       {:.3} s", bare.as_secs_f64());
    println!("checked and planned {:.3} s", read.as_secs_f64());
    println!("ratio               {:.2}", read.as_secs_f64() / bare.as_secs_f64());
    match peak_memory_bytes() {
        Some(bytes) => println!("peak memory         {:.1} MB", decimal_megabytes(bytes)),
        None => println!("peak memory         not known on this system"),
    }
}

/// Every row names another machine; every fourth sets a value beside its tag.
fn write_input(path: &Path) -> io::Result<u64> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"machineId,tag,action,value\n")?;
    for (row, tag) in (0..ROWS).zip(TAGS.iter().cycle()) {
        let (high, low) = (random.u128(..), random.u32(..));
        let action = if row % 5 == 0 { "Remove" } else { "Add" };
        let value = if row % 4 == 0 { "High" } else { "" };
        writeln!(file, "{high:032x}{low:08x},{tag},{action},{value}")?;
    }
    file.flush()?;
    Ok(std::fs::metadata(path)?.len())
}

fn bare_pass(path: &Path) {
    let mut reader = csv::Reader::from_path(path).expect("the input file");
    let mut record = csv::ByteRecord::new();
    let mut rows = 0;
    while reader.read_byte_record(&mut record).expect("a record") {
        rows += 1;
        black_box(&record);
    }
    assert_eq!(rows, ROWS);
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn decimal_megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The most that the process ever had in memory, where the system tells: Linux does.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
