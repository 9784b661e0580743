//! The table of entities as comma-separated values, for spreadsheets.

use untether_model::neutral;
use untether_model::operation::Track;

use crate::progress::{EntityProgress, ProgressReport};
use crate::words::Lang;

/// Why a table cannot be written.
#[derive(Debug)]
pub struct CsvError(String);

impl std::fmt::Display for CsvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the table of entities cannot be written: {}", self.0)
    }
}

impl std::error::Error for CsvError {}

/// One row an entity; empty fields are figures that no audit has given yet.
///
/// # Errors
/// Only where a row cannot be written into memory.
pub fn entity_csv(report: &ProgressReport, lang: Lang) -> Result<String, CsvError> {
    let failed = |e: csv::Error| CsvError(e.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<&str> = vec![
        lang.pick("会社", "entity"),
        lang.pick("名称", "name"),
        lang.pick("分離期限", "deadline"),
        lang.pick("期限超過", "overdue"),
    ];
    let tracks = [Track::Migrate, Track::Retire, Track::Finish, Track::Keep];
    header.extend(tracks.map(|track| lang.track(track)));
    header.extend([
        lang.pick("完了", "finished"),
        lang.pick("一時保留", "parked"),
        lang.pick("残存レコード", "records left"),
        lang.pick("残存認証情報", "credentials left"),
        lang.pick("残存連携", "links left"),
        lang.pick("監査の記録番号", "audit record"),
        lang.pick("台帳の記録番号", "ledger record"),
    ]);
    writer.write_record(&header).map_err(failed)?;
    for entity in &report.entities {
        writer.write_record(row(report, entity, (lang, &tracks))).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|e| CsvError(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| CsvError(e.to_string()))
}

fn row(report: &ProgressReport, entity: &EntityProgress, (lang, tracks): (Lang, &[Track])) -> Vec<String> {
    let name = lang.pick(&entity.name_ja, &entity.name);
    let mut row = vec![
        neutral::cell(entity.id.as_str()),
        neutral::cell(name),
        entity.deadline.map(|day| day.to_string()).unwrap_or_default(),
        lang.pick(if entity.overdue { "超過" } else { "" }, if entity.overdue { "yes" } else { "no" }).to_owned(),
    ];
    for track in tracks {
        let found = entity.tracks.iter().find(|t| t.track == *track);
        row.push(found.map_or(0, |t| t.subjects).to_string());
    }
    row.push(entity.tracks.iter().map(|t| t.finished).sum::<u64>().to_string());
    row.push(entity.tracks.iter().map(|t| t.parked).sum::<u64>().to_string());
    let residual = entity.residual.as_ref();
    row.push(residual.map(|r| r.records.left.to_string()).unwrap_or_default());
    row.push(residual.map(|r| r.credentials.left.to_string()).unwrap_or_default());
    let links: u64 = entity.links.iter().map(|l| l.left).sum();
    row.push(report.last_audit.map(|_| links.to_string()).unwrap_or_default());
    row.push(report.last_audit.map(|a| a.record.to_string()).unwrap_or_default());
    row.push(report.as_of.record.to_string());
    row
}
