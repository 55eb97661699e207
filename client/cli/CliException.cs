namespace IommuFd.Cli;

/// <summary>A command can't run, for a reason that its user can fix.</summary>
internal sealed class CliException(string message) : Exception(message);
