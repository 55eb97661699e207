using System.Globalization;

namespace IommuFd.Devices.Pci;

/// <summary>Where a function is on its bus, <c>0000:01:00.0</c>.</summary>
/// <param name="Segment">The segment.</param>
/// <param name="Bus">The bus.</param>
/// <param name="Slot">The device on the bus, 0 to 31.</param>
/// <param name="Function">The function of the device, 0 to 7.</param>
public readonly record struct PciAddress(ushort Segment, byte Bus, byte Slot, byte Function)
{
    /// <summary>Slot and function in one byte, as the kernel has them.</summary>
    public byte DevFn => (byte)((Slot << 3) | Function);

    /// <summary>Reads an address from text.</summary>
    /// <param name="text">The text, in hexadecimal digits: <c>SSSS:BB:DD.F</c>.</param>
    /// <param name="address">The address.</param>
    /// <returns>Whether the text is an address.</returns>
    public static bool TryParse(string? text, out PciAddress address)
    {
        address = default;
        var parts = text?.Split(':', '.') ?? [];
        if (parts.Length != 4 || text!.LastIndexOf('.') < text.LastIndexOf(':')
            || !Parse(parts[0], 4, ushort.MaxValue, out var segment) || !Parse(parts[1], 2, byte.MaxValue, out var bus)
            || !Parse(parts[2], 2, 31, out var slot) || !Parse(parts[3], 1, 7, out var function))
        {
            return false;
        }

        address = new PciAddress((ushort)segment, (byte)bus, (byte)slot, (byte)function);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Segment:x4}:{Bus:x2}:{Slot:x2}.{Function:x}");

    private static bool Parse(string digits, int length, uint most, out uint number)
        => uint.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number) && digits.Length == length && number <= most;
}
