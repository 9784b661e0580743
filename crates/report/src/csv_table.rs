//! Tables as comma-separated values, for spreadsheets.

use untether_model::neutral;

use crate::table::{Cell, Table};
use crate::words::Lang;

/// Spreadsheets take a file without this mark for one in the encoding of their country.
pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Why a table cannot be written.
#[derive(Debug)]
pub struct CsvError {
    table: &'static str,
    cause: String,
}

impl std::fmt::Display for CsvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the table '{}' cannot be written: {}", self.table, self.cause)
    }
}

impl std::error::Error for CsvError {}

/// The table with its head, lines ended by CR and LF (RFC 4180), after a byte-order mark. Days are ISO 8601 and numbers plain in
/// either language, so that spreadsheets count with them. A count that cites its record takes two columns.
///
/// # Errors
/// Only where a row cannot be written into memory.
pub fn csv(table: &Table, (lang, zone): (Lang, &str)) -> Result<String, CsvError> {
    let failed = |cause: String| CsvError { table: table.name, cause };
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let cited: Vec<bool> =
        (0..table.columns.len()).map(|at| table.rows.iter().any(|row| matches!(row.get(at), Some(Cell::Cited(..))))).collect();
    let mut head = Vec::new();
    for (column, cited) in table.columns.iter().zip(&cited) {
        head.push(column.name.clone());
        if *cited {
            head.push(match lang {
                Lang::Ja => format!("{}の記録番号", column.name),
                Lang::En => format!("{}: record", column.name),
            });
        }
    }
    writer.write_record(&head).map_err(|e| failed(e.to_string()))?;
    for row in &table.rows {
        let mut fields = Vec::with_capacity(head.len());
        for (cell, cited) in row.iter().zip(&cited) {
            fields.push(field(cell, (lang, zone)));
            if *cited {
                fields.push(if let Cell::Cited(_, record) = cell { record.to_string() } else { String::new() });
            }
        }
        writer.write_record(&fields).map_err(|e| failed(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|e| failed(e.to_string()))?;
    Ok(format!("{BYTE_ORDER_MARK}{text}"))
}

fn field(cell: &Cell, (lang, zone): (Lang, &str)) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Unknown => lang.unknown().to_owned(),
        Cell::Words(text) | Cell::Mark(_, text) | Cell::Foreign(text) | Cell::Id(text) => neutral::cell(text),
        Cell::Count(n) | Cell::Record(n) | Cell::Cited(n, _) => n.to_string(),
        Cell::Days(n) => n.to_string(),
        Cell::Day(day) => day.to_string(),
        Cell::Time(at) => Lang::En.time(*at, zone),
    }
}
