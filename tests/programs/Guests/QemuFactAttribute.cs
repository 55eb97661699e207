using System.ComponentModel;
using System.Diagnostics;
using Xunit;

namespace IommuFd.ProgramTests.Guests;

/// <summary>A test that boots a guest in QEMU. It is skipped, and says what is missing, where there is no QEMU with iommufd or no guest.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class QemuFactAttribute : FactAttribute
{
    /// <summary>QEMU for guests of x86-64.</summary>
    public const string Qemu = "qemu-system-x86_64";

    private static readonly Lazy<string?> Missing = new(FindMissing);

    public QemuFactAttribute() => Skip = Missing.Value;

    /// <summary>A file that <c>make qemu</c> has made.</summary>
    public static string GuestFile(string name) => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../qemu", name));

    private static string? FindMissing()
    {
        const string Remedy = "'make qemu' says which packages are needed";
        return !HasIommufd() ? $"There is no {Qemu} with '-object iommufd': {Remedy}."
            : Array.Find(["vmlinuz", "initramfs"], name => !File.Exists(GuestFile(name))) is { } missing ? $"There is no {GuestFile(missing)}: {Remedy}."
            : null;
    }

    private static bool HasIommufd()
    {
        try
        {
            using var qemu = Process.Start(new ProcessStartInfo(Qemu, ["-object", "help"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var objects = qemu.StandardOutput.ReadToEnd();
            qemu.WaitForExit();
            return objects.Split('\n').Any(line => line.Trim() == "iommufd");
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
