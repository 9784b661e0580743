//! The personnel department's export, read and edited as a scenario needs it.

use std::path::PathBuf;

use crate::support::World;

/// The generated roster.
pub struct Roster {
    path: PathBuf,
    header: Vec<String>,
    /// The fields of each row.
    pub rows: Vec<Vec<String>>,
}

impl Roster {
    /// As it is now.
    pub fn of(world: &World) -> Self {
        let path = world.data().join("roster.csv");
        let mut reader = csv::Reader::from_path(&path).unwrap();
        let fields = |row: &csv::StringRecord| row.iter().map(str::to_owned).collect::<Vec<_>>();
        let header = fields(reader.headers().unwrap());
        let rows = reader.records().map(|row| fields(&row.unwrap())).collect();
        Self { path, header, rows }
    }

    /// Puts it in the place of the one before.
    pub fn write(&self) {
        let mut writer = csv::Writer::from_path(&self.path).unwrap();
        writer.write_record(&self.header).unwrap();
        self.rows.iter().for_each(|row| writer.write_record(row).unwrap());
        writer.flush().unwrap();
    }

    /// Where it lies.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The names of its columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The place of a column; it must be there.
    pub fn column(&self, name: &str) -> usize {
        self.header.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name} in {:?}", self.header))
    }

    /// Sets fields of one row.
    pub fn set(&mut self, row: usize, fields: &[(&str, &str)]) {
        for (name, field) in fields {
            let column = self.column(name);
            self.rows[row][column] = (*field).to_owned();
        }
    }

    /// The row of the person with this login; there must be one.
    pub fn with_login(&self, login: &str) -> usize {
        let column = self.column("login");
        self.rows.iter().position(|row| row[column] == login).unwrap_or_else(|| panic!("the roster has no {login}"))
    }
}
