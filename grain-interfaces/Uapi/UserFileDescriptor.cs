namespace IommuFd.Uapi;

/// <summary>Where an argument has a file descriptor, in bytes from its start; null where this argument has none.</summary>
public delegate int? UserFileOffset(ReadOnlySpan<byte> argument);

/// <summary>The file that a command's argument names by its descriptor.</summary>
/// <param name="Offset">Where the descriptor stands.</param>
/// <param name="IsActedOn">
/// Whether the command acts on what the file leads to, and so in the context that the file leads to, whichever context's descriptor the ioctl is issued on. Otherwise it only
/// uses the file.
/// </param>
public sealed record UserFileDescriptor(UserFileOffset Offset, bool IsActedOn);
