namespace IommuFd.Cli;

/// <summary>The command can't be carried out, for a reason that its user can mend.</summary>
internal sealed class CliException(string message) : Exception(message);
