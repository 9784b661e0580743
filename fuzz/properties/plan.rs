//! Any lines as a plan: its head, then the lines of a wave. What is accepted is written back equal and can be linted.

use untether_model::plan::{BadWave, PlanHeader, Wave, WaveLine};
use untether_model::{PlanId, WaveId};
use untether_planner::Linter;

/// Reads the first line as a head and the others as a wave.
pub fn check(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let header = lines.next().and_then(|line| serde_json::from_slice::<PlanHeader>(line).ok());
    let mut linter = header.as_ref().map(Linter::new);
    if let Some(header) = &header {
        assert_eq!(again(header), *header);
    }
    let read: Vec<Result<WaveLine, serde_json::Error>> = lines.map(serde_json::from_slice::<WaveLine>).collect();
    for line in read.iter().flatten() {
        assert_eq!(again(line), *line);
        if let Some(linter) = &mut linter {
            linter.line(line);
        }
    }
    if let Some(linter) = linter {
        linter.finish();
    }
    let id = WaveId::new(PlanId::new("plan"), "wave");
    let good: Vec<WaveLine> = read.into_iter().flatten().collect();
    let operations = good.iter().filter(|line| matches!(line, WaveLine::Operation(_))).count();
    let wave = match Wave::from_lines(&id, good.into_iter().map(Ok::<_, serde_json::Error>)) {
        Ok(wave) => wave,
        Err(BadWave::NoHead(_)) => return,
        Err(BadWave::Line(error)) => panic!("{error}"),
    };
    assert_eq!(wave.operations().len(), operations);
    for operation in wave.operations() {
        assert!(wave.operations_of(&operation.batch, operation.stage).any(|found| found == operation), "the index finds it");
        assert!(wave.operation(&operation.batch, operation.n).is_some());
    }
    assert_eq!(wave.clone().map_operations(|_| {}), wave);
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}
