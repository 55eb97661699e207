using System.Globalization;
using System.Text.Json;
using IommuFd.GrainInterfaces;

namespace IommuFd.Cli.Faults;

/// <summary>Accesses of devices that could not be translated, as lines of text or of JSON.</summary>
internal static class FaultView
{
    /// <summary>A fault in a line, with who and when.</summary>
    public static string Text(RecordedDmaFault fault)
        => string.Create(CultureInfo.InvariantCulture, $"{fault.Time.ToLocalTime():HH:mm:ss.ffffff} {fault.Opener} {fault.Context}: {DmaFaultText.Describe(fault)}");

    /// <summary>A fault between the calls of a traced program.</summary>
    public static string TraceText(RecordedDmaFault fault) => $"--- DMA fault {DmaFaultText.Describe(fault)} ---";

    /// <summary>Writes a fault as the fields of a JSON object.</summary>
    public static void WriteFields(Utf8JsonWriter json, RecordedDmaFault fault)
    {
        json.WriteString("time", fault.Time);
        json.WriteString("context", fault.Context.ToString());
        json.WriteString("program", fault.Opener);
        json.WriteString("silo", fault.Silo);
        json.WriteNumber("ordinal", fault.Ordinal);
        json.WriteString("device", fault.DeviceName);
        json.WriteNumber("deviceId", fault.Device.Value);
        json.WriteNumber("pasid", fault.Fault.Pasid);
        json.WriteString("access", DmaFaultText.Direction(fault));
        json.WriteNumber("iova", fault.Range.Iova);
        json.WriteNumber("length", fault.Range.Length);
        json.WriteNumber("stoppedAt", fault.Fault.Iova);
        json.WriteString("errno", fault.Fault.Errno.ToString());
        json.WriteBoolean("refused", fault.FaultQueue == default);
        if (fault.FaultQueue != default)
        {
            json.WriteNumber("faultQueue", fault.FaultQueue.Value);
        }

        json.WriteString("why", DmaFaultText.Why(fault));
        json.WriteString("advice", DmaFaultText.Advice(fault));
    }
}
