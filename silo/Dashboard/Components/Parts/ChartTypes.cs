namespace IommuFd.Silo.Dashboard.Components.Parts;

/// <summary>A line of a chart.</summary>
/// <param name="Name">What it is of.</param>
/// <param name="Style">The class that it is drawn by.</param>
/// <param name="Values">A value for each second, oldest first; null where there is none.</param>
public sealed record TimeSeries(string Name, string Style, double?[] Values);

/// <summary>A row of a list with bars.</summary>
/// <param name="Name">What it is of.</param>
/// <param name="Value">How long its bar is.</param>
/// <param name="Text">The value in words.</param>
public sealed record BarRow(string Name, double Value, string Text);
