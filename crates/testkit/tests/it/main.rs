//! Tests of the laboratory against real servers, of the engine on twins, and of the architecture of the workspace.

#[cfg(test)]
mod act;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod growth;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod laboratory;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod races;
#[cfg(test)]
mod references;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod truncated;
#[cfg(test)]
mod twins;
