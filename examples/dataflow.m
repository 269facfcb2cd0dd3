// A dataflow in MAESTRO's syntax: hwgym.costs.maestro.read_dataflow("examples/dataflow.m").
// Weights stay; filters and channels run in parallel. tile_k, the filters that a PE's buffer
// holds, is hwgym's: MAESTRO wants a number.
Constant Channels 16;

Dataflow {
  SpatialMap(tile_k, tile_k) K;
  TemporalMap(Channels, Channels) C;
  TemporalMap(Sz(R), Sz(R)) R;
  TemporalMap(Sz(S), Sz(S)) S;
  TemporalMap(Sz(R), 1) Y;
  TemporalMap(4+Sz(S)-1, 4) X;   // the inputs of four outputs in a row
  Cluster(Channels, P);
  SpatialMap(1, 1) C;
  TemporalMap(Sz(R), 1) Y;
  TemporalMap(Sz(S), 1) X;
  TemporalMap(Sz(R), Sz(R)) R;
  TemporalMap(Sz(S), Sz(S)) S;
}
