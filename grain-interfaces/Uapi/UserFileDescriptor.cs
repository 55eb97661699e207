namespace IommuFd.Uapi;

/// <summary>The file that a command's argument names by its descriptor.</summary>
/// <param name="Offset">Where the 32-bit descriptor stands, in bytes from the argument's start.</param>
/// <param name="IsActedOn">
/// Whether the command acts on what the file leads to, and so in the context that the file leads to, whichever context's descriptor the ioctl is issued on. Otherwise it only
/// uses the file.
/// </param>
public sealed record UserFileDescriptor(int Offset, bool IsActedOn)
{
    /// <summary>What the argument must say to name a file: one of these. Empty if every argument names one.</summary>
    public IReadOnlyList<UapiSelector> Selectors { get; init; } = [];

    /// <summary>Whether an argument names a file, and reaches that far.</summary>
    /// <param name="argument">The argument.</param>
    /// <returns>Whether it does.</returns>
    public bool IsIn(ReadOnlySpan<byte> argument)
    {
        if (Offset + sizeof(int) > argument.Length)
        {
            return false;
        }

        foreach (var selector in Selectors)
        {
            if (selector.Selects(argument))
            {
                return true;
            }
        }

        return Selectors.Count == 0;
    }
}
