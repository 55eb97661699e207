namespace IommuFd.GrainInterfaces;

/// <summary>Formats silos for people.</summary>
public static class SiloText
{
    /// <summary>A silo's address and port, without Orleans' letter before them and the generation behind them.</summary>
    /// <param name="address">The address, as membership has it.</param>
    /// <returns>For example <c>127.0.0.1:11111</c>.</returns>
    public static string Endpoint(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        var text = address.StartsWith('S') ? address[1..] : address;
        var last = text.LastIndexOf(':');
        return last > 0 && text.LastIndexOf(':', last - 1) > 0 && !text.EndsWith(']') ? text[..last] : text;
    }
}
