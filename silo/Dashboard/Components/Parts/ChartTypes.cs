namespace IommuFd.Silo.Dashboard.Components.Parts;

/// <summary>A line of a chart.</summary>
/// <param name="Name">What it shows.</param>
/// <param name="Style">Its CSS class.</param>
/// <param name="Values">A value for each second, oldest first; null where there is none.</param>
public sealed record TimeSeries(string Name, string Style, double?[] Values);

/// <summary>A row of a list with bars.</summary>
/// <param name="Name">What it counts.</param>
/// <param name="Value">The length of its bar.</param>
/// <param name="Text">The value as text.</param>
public sealed record BarRow(string Name, double Value, string Text);
