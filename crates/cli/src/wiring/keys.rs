//! The keys of waves: found by the wave's sealed file.

use std::collections::BTreeMap;
use std::sync::Mutex;

use untether_cutover::Keyring;
use untether_ledger::{Area, Key, KeyStore, SealedReader, Shelf, StateDir};
use untether_model::WaveId;
use untether_model::digest::Digest;

/// Opens wave keys with the state key, and remembers them while it lives.
pub struct StateKeyring {
    dir: StateDir,
    keys: KeyStore,
    files: BTreeMap<WaveId, Digest>,
    opened: Mutex<BTreeMap<WaveId, Key>>,
}

impl StateKeyring {
    /// Knows the sealed files of these waves.
    pub fn new(dir: StateDir, keys: KeyStore, files: BTreeMap<WaveId, Digest>) -> Self {
        Self { dir, keys, files, opened: Mutex::new(BTreeMap::new()) }
    }
}

impl Keyring for StateKeyring {
    fn key(&self, wave: &WaveId) -> Result<Key, String> {
        let mut opened = self.opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(key) = opened.get(wave) {
            return Ok(key.clone());
        }
        let digest = self.files.get(wave).ok_or_else(|| "the wave is in no recorded order".to_owned())?;
        let id = SealedReader::key_of(&self.dir, &Shelf::of(Area::Plans), digest).map_err(|e| crate::error::chain(&e))?;
        let key = self.keys.key(&id).map_err(|e| crate::error::chain(&e))?;
        opened.insert(wave.clone(), key.clone());
        Ok(key)
    }
}
