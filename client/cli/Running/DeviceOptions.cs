using System.CommandLine;
using System.Globalization;

namespace IommuFd.Cli.Running;

/// <summary>The options of <c>iommufd run</c> for emulated devices.</summary>
internal static class DeviceOptions
{
    private static readonly Option<string[]> DeviceOption = new("--device")
    {
        Description = "An emulated device for the program: KIND[,bdf=0000:01:00.0][,group=N][,iommu=pci][,width=39][,pasids=20][,node=missing], nvme also [,file=PATH][,size=64M]. The kinds are nvme and dma-test. The program gets a silo of its own.",
    };

    private static readonly Option<string[]> DescriptorOption = new("--device-fd")
    {
        Description = "NUMBER=NAME: the program inherits an open file of a device, such as 5=vfio0, by this number: for programs that want one, as QEMU's fd=.",
    };

    public static void AddTo(Command command)
    {
        command.Add(DeviceOption);
        command.Add(DescriptorOption);
    }

    /// <summary>The devices that the program is to have.</summary>
    public static string[] DevicesOf(ParseResult options) => options.GetValue(DeviceOption) ?? [];

    /// <summary>The program as it is to be started: by a shell that opens device files first, if it is to inherit any.</summary>
    /// <param name="options">The options.</param>
    /// <param name="program">The program and its arguments.</param>
    /// <exception cref="CliException">An option is no number and name.</exception>
    public static string[] Inheriting(ParseResult options, string[] program)
    {
        var opens = (options.GetValue(DescriptorOption) ?? []).Select(Open).ToList();
        return opens.Count == 0 ? program : ["sh", "-c", $"{string.Concat(opens)}exec \"$0\" \"$@\"", .. program];
    }

    // A shell has one digit for a descriptor's number.
    private static string Open(string text)
    {
        var pair = text.Split('=');
        return pair is [var number, var name] && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var fd) && fd is > 2 and <= 9
            && name.StartsWith("vfio", StringComparison.Ordinal) && name[4..] is { Length: > 0 } digits && digits.All(char.IsAsciiDigit)
            ? $"exec {fd}<>/dev/vfio/devices/{name}; "
            : throw new CliException($"'{text}' is no number from 3 to 9 and a device's name, as 5=vfio0.");
    }
}
