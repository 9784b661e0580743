//! The built program against real servers.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod correlate;
#[cfg(test)]
mod cycle;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod handover;
#[cfg(test)]
mod json;
#[cfg(test)]
mod migrate;
#[cfg(test)]
mod month;
#[cfg(test)]
mod operate;
#[cfg(test)]
mod personnel;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod rehearse;
#[cfg(test)]
mod report;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod roster;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod state;
#[cfg(test)]
mod story;
#[cfg(test)]
mod support;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod waivers;
