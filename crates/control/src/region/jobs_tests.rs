//! Tests of exports and imports in the region group's state.

use super::tests::{Region, create, definition, placed};
use super::*;

const HOUR_MS: u64 = 3600 * 1000;

fn id(at_ms: u64) -> JobId {
    JobId { at_ms, random: 7 }
}

fn place() -> BucketPlace {
    BucketPlace { bucket: "bucket".to_owned(), owner: None, prefix: Some("p".to_owned()) }
}

fn export_request(token: Option<&str>) -> ExportRequest {
    ExportRequest {
        token: token.map(str::to_owned),
        to: place(),
        sse_algorithm: None,
        sse_key: None,
        scope: ExportScope::Full { at_ms: None },
    }
}

fn export(table: TableId, at_ms: u64, request: ExportRequest) -> Command {
    Command::Export(ExportCommand::Begin { id: id(at_ms), table, request })
}

fn import_request(table: &str, token: Option<&str>) -> ImportRequest {
    ImportRequest {
        token: token.map(str::to_owned),
        from: place(),
        format: ImportFormat::Csv { delimiter: Some(';'), header: Some(vec!["a".to_owned()]) },
        compression: ImportCompression::Zstd,
        table_name: table.to_owned(),
        definition: Box::new(definition()),
        parameters: "{}".to_owned(),
    }
}

fn import(at_ms: u64, request: ImportRequest) -> Command {
    Command::Import(ImportCommand::Begin { id: id(at_ms), request })
}

fn make(at_ms: u64) -> Command {
    let partitions = placed(2, &[1, 2, 3]);
    Command::Import(ImportCommand::MakeTable { id: id(at_ms), partitions, at_ms })
}

fn end_export(at_ms: u64, ended_ms: u64) -> Command {
    let outcome = ExportOutcome::Completed { items: 1, billed_bytes: 2 };
    Command::Export(ExportCommand::End { id: id(at_ms), at_ms: ended_ms, outcome })
}

fn end_import(at_ms: u64, ended_ms: u64) -> Command {
    Command::Import(ImportCommand::End { id: id(at_ms), at_ms: ended_ms, failure: None })
}

#[test]
fn ids_are_read_as_they_are_shown() {
    let id = JobId { at_ms: 1_700_000_000_123, random: 0xbeef };
    assert_eq!(id.to_string(), "01700000000123-0000beef");
    assert_eq!("01700000000123-0000beef".parse(), Ok(id));
    for other in ["", "1-2", "01700000000123-0000BEEF", "01700000000123", "+1700000000123-0000beef"]
    {
        assert!(other.parse::<JobId>().is_err(), "{other}");
    }
}

#[test]
fn a_token_finds_its_export_for_eight_hours() {
    let mut region = Region::with_nodes(3);
    let (table, other) = (region.active_table("t"), region.active_table("u"));
    let begun = Done::Job(id(1));
    assert_eq!(region.done(export(table, 1, export_request(Some("a")))), begun);
    assert_eq!(region.done(export(table, 2, export_request(Some("a")))), begun);
    let differs = Refusal::OtherParameters;
    assert_eq!(region.refused(export(other, 3, export_request(Some("a")))), differs);
    let timed = ExportScope::Full { at_ms: Some(1) };
    let changed = ExportRequest { scope: timed, ..export_request(Some("a")) };
    assert_eq!(region.refused(export(table, 3, changed)), differs);
    assert_eq!(region.done(export(table, 4, export_request(None))), Done::Job(id(4)));
    assert_eq!(region.done(export(table, 5, export_request(None))), Done::Job(id(5)));
    region.done(end_export(1, 10));
    let late = 10 + 8 * HOUR_MS;
    assert_eq!(region.done(export(table, late, export_request(Some("a")))), begun);
    let fresh = export(table, late + 1, export_request(Some("a")));
    assert_eq!(region.done(fresh), Done::Job(id(late + 1)));
}

#[test]
fn an_export_ends_once_and_outlives_its_table_for_ninety_days() {
    let mut region = Region::with_nodes(3);
    let table = region.active_table("t");
    region.done(export(table, 1, export_request(None)));
    region.done(end_export(1, 10));
    let failed = ExportOutcome::Failed(Failure { code: "x".into(), message: "y".into() });
    region.done(Command::Export(ExportCommand::End { id: id(1), at_ms: 11, outcome: failed }));
    let completed = ExportOutcome::Completed { items: 1, billed_bytes: 2 };
    assert_eq!(region.state.jobs().exports[&id(1)].ended, Some((10, completed)));
    region.done(Command::DeleteTable { name: "t".to_owned(), force: false, backup_ms: None });
    region.done(Command::TableGone { table });
    assert_eq!(region.refused(export(table, 20, export_request(None))), Refusal::TableNotFound);
    assert_eq!(region.refused(end_export(2, 20)), Refusal::JobNotFound);
    let table = region.active_table("u");
    region.done(export(table, 9 + JOBS_KEPT_MS, export_request(None)));
    assert!(region.state.jobs().exports.contains_key(&id(1)));
    region.done(export(table, 10 + JOBS_KEPT_MS, export_request(None)));
    assert!(!region.state.jobs().exports.contains_key(&id(1)));
}

#[test]
fn exports_and_imports_under_way_are_bounded() {
    let mut region = Region::with_nodes(3);
    let table = region.active_table("t");
    for n in 0..EXPORTS_MAX as u64 {
        region.done(export(table, n, export_request(None)));
    }
    let more = export(table, 1000, export_request(None));
    assert_eq!(region.refused(more.clone()), Refusal::LimitExceeded);
    region.done(end_export(0, 1));
    region.done(more);
    for n in 0..IMPORTS_MAX as u64 {
        region.done(import(n, import_request("i", None)));
    }
    assert_eq!(region.refused(import(1000, import_request("i", None))), Refusal::LimitExceeded);
}

#[test]
fn an_imported_table_is_made_later_and_waits_until_it_is_filled() {
    let mut region = Region::with_nodes(3);
    let begun = Done::Job(id(5));
    assert_eq!(region.done(import(5, import_request("i", Some("a")))), begun);
    let table = region.state.jobs().imports[&id(5)].table;
    assert!(region.state.tables().is_empty());
    assert_eq!(region.refused(make(6)), Refusal::JobNotFound);
    assert_eq!(region.done(make(5)), Done::Table(table));
    assert_eq!(region.done(make(5)), Done::Table(table), "made once");
    let record = &region.state.tables()["i"];
    assert_eq!((record.id, record.created_ms, record.status), (table, 5, TableStatus::Creating));
    assert!(record.is_being_filled() && !record.is_being_restored());
    let counts = ImportCounts { processed: 3, imported: 2, errors: 1, bytes: 9 };
    region.done(Command::Import(ImportCommand::Filled { id: id(5), counts }));
    assert!(!region.state.tables()["i"].is_being_filled());
    assert_eq!(region.refused(make(5)), Refusal::JobNotFound, "filled once");
    region.done(end_import(5, 9));
    let ended = &region.state.jobs().imports[&id(5)];
    assert_eq!((ended.counts, &ended.ended), (Some(counts), &Some((9, None))));
    // The next table gets another id.
    assert_ne!(region.active_table("t"), table);
}

#[test]
fn a_token_finds_its_import_until_the_table_is_there() {
    let mut region = Region::with_nodes(3);
    region.done(import(1, import_request("i", Some("a"))));
    let other = import(2, import_request("j", Some("a")));
    assert_eq!(region.refused(other), Refusal::OtherParameters);
    region.done(make(1));
    let again = |at_ms| import(at_ms, import_request("i", Some("a")));
    assert_eq!(region.done(again(3)), Done::Job(id(1)));
    let table = region.state.tables()["i"].id;
    let taken = Refusal::TableExists { table };
    assert_eq!(region.refused(import(4, import_request("i", None))), taken);
    region.done(end_import(1, 9));
    assert_eq!(region.refused(again(10)), taken);
    region.done(Command::DeleteTable { name: "i".to_owned(), force: true, backup_ms: None });
    region.done(Command::TableGone { table });
    assert_eq!(region.done(again(11)), Done::Job(id(1)), "nothing is made again");
    assert_eq!(region.done(again(10 + 8 * HOUR_MS)), Done::Job(id(10 + 8 * HOUR_MS)));
}

#[test]
fn of_two_imports_into_one_name_the_second_finds_it_taken() {
    let mut region = Region::with_nodes(3);
    region.done(import(1, import_request("i", None)));
    region.done(import(2, import_request("i", None)));
    let Done::Table(table) = region.done(make(2)) else { panic!("no table was made") };
    assert_eq!(region.refused(make(1)), Refusal::TableExists { table });
}

#[test]
fn jobs_are_stored_with_the_state() {
    let mut region = Region::with_nodes(3);
    let before = region.state.encode();
    assert!(!String::from_utf8(before).unwrap().contains("jobs"), "old bytes stay as they are");
    let table = region.active_table("t");
    let incremental = ExportScope::Incremental { from_ms: 1, to_ms: None, old_images: true };
    let request = ExportRequest { scope: incremental, ..export_request(Some("a")) };
    let commands = [
        export(table, 1, request),
        end_export(1, 2),
        import(3, import_request("i", Some("b"))),
        make(3),
        Command::Import(ImportCommand::Filled { id: id(3), counts: ImportCounts::default() }),
        end_import(3, 4),
    ];
    for command in commands {
        assert_eq!(Command::decode(&command.encode()), Ok(command.clone()));
        let answer = region.answer(&command);
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!(CommandResult::decode(&answer.encode()), Ok(answer));
        assert_eq!(RegionState::decode(&region.state.encode()).as_ref(), Ok(&region.state));
    }
    for refusal in [Refusal::OtherParameters, Refusal::JobNotFound] {
        let answer: CommandResult = Err(refusal);
        assert_eq!(CommandResult::decode(&answer.encode()), Ok(answer));
    }
    assert!(region.answer(&create("t", placed(1, &[1]))).is_err());
}
