// Grafana's type of a dashboard, with the options that each of our panels has. Copied beside the types of each version of
// Grafana that tools/validators fetches.

import type * as schema from '@grafana/schema';
import type * as gauge from '@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
// Newer versions do not publish it here.
import type { PrometheusDataQuery } from '../oldest/node_modules/@grafana/schema/dist/esm/raw/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen';

// JSON has the values of enums, not their names.
type Plain<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
// Grafana has a default for every option.
type Parts<T> = T extends object ? { [K in keyof T]?: Parts<T[K]> } : T;
type With<T, U> = Omit<T, keyof U> & U;

// In the type of a dashboard, options and queries are of any kind.
type PanelOf<Type, Options, Custom = Record<string, never>> = With<
  schema.Panel,
  {
    type: Type;
    options: Parts<Options>;
    targets: PrometheusDataQuery[];
    fieldConfig: With<schema.FieldConfigSource, { defaults: With<schema.FieldConfig, { custom?: Parts<Custom> }> }>;
  }
>;
type Panel =
  | With<schema.RowPanel, { panels: [] }>
  | PanelOf<'gauge', gauge.Options>
  | PanelOf<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | PanelOf<'stat', stat.Options>
  | PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>;

// A file for other Grafanas has these besides.
type Shared = {
  __inputs: [];
  __requires: { type: 'grafana' | 'datasource' | 'panel'; id: string; name: string; version: string }[];
};

export type Board = Plain<With<schema.Dashboard, { panels: Panel[] } & Shared>>;
